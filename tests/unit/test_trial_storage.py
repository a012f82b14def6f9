"""Where trials keep checkpoints: whole or not at all, in a folder and in an object store."""

import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
from s3_server import s3_bucket

from moedsr.errors import InputError
from moedsr_platform.trial.storage import (
    COMPLETE,
    TrialStorage,
    check_writable,
    child,
    fetch,
    open_filesystem,
    with_endpoint,
)


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch, s3_bucket(patch) as url:
        yield with_endpoint(url)


@pytest.fixture(params=["folder", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> TrialStorage:
    """An empty one of either kind."""
    place = str(tmp_path / "trials") if request.param == "folder" else child(request.getfixturevalue("bucket"), "sweep")
    return TrialStorage(place, f"ab12-{request.node.name[:20]}")


def checkpoint(scratch: Path, text: str) -> Path:
    folder = scratch / text
    folder.mkdir()
    (folder / "meta.json").write_text(text)
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def test_checkpoints_are_listed_by_step_and_read_again(storage: TrialStorage) -> None:
    assert storage.checkpoints() == {}
    with storage.scratch() as scratch:
        for step in (20, 5):
            storage.keep(checkpoint(scratch, f"of-{step}"), step)
        assert list(scratch.iterdir()) == []
    kept = storage.checkpoints()
    assert list(kept) == [5, 20]
    with storage.opened(kept[20]) as folder:
        assert (folder / "meta.json").read_text() == "of-20"
        assert (folder / "model.safetensors").read_bytes() == b"weights"
    storage.remove(kept[5])
    assert list(storage.checkpoints()) == [20]


def test_a_step_that_is_made_again_takes_the_place_of_the_first(storage: TrialStorage) -> None:
    with storage.scratch() as scratch:
        for text in ("first", "again"):
            storage.keep(checkpoint(scratch, text), 5)
    with storage.opened(storage.checkpoints()[5]) as folder:
        assert (folder / "meta.json").read_text() == "again"


def test_half_of_a_checkpoint_is_none(storage: TrialStorage) -> None:
    with storage.scratch() as scratch:
        storage.keep(checkpoint(scratch, "whole"), 5)
        place = storage.keep(checkpoint(scratch, "half"), 10)
    marker = COMPLETE if "://" in storage.url else "meta.json"
    storage.filesystem.delete_file(f"{place}/{marker}")
    assert list(storage.checkpoints()) == [5]


def test_what_a_killed_process_left_in_a_folder_goes(tmp_path: Path) -> None:
    storage = TrialStorage(str(tmp_path), "t")
    (tmp_path / "t" / ".scratch-old").mkdir(parents=True)
    with storage.scratch():
        assert not (tmp_path / "t" / ".scratch-old").exists()
    assert list((tmp_path / "t").iterdir()) == []


def test_one_of_an_object_store_is_copied_whole_or_not_at_all(bucket: str, tmp_path: Path) -> None:
    storage = TrialStorage(child(bucket, "fetched"), "t")
    with storage.scratch() as scratch:
        storage.keep(checkpoint(scratch, "best"), 5)
    address = storage.checkpoint_url(5)
    assert address == f"{bucket.partition('?')[0]}/fetched/t/checkpoint_0000005"
    found = fetch(storage.url, address, tmp_path / "copy")
    assert found is not None
    assert (found / "meta.json").read_text() == "best"
    storage.remove(storage.checkpoints()[5])
    assert fetch(storage.url, address, tmp_path / "other") is None
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_a_place_is_tried_by_writing(bucket: str, tmp_path: Path) -> None:
    check_writable(bucket)
    check_writable(str(tmp_path / "new"))
    with pytest.raises(InputError, match=r"checkpoints cannot be written to s3://No_Such_Bucket-a1b2\S+: "):
        check_writable(with_endpoint("s3://No_Such_Bucket-a1b2"))
    with pytest.raises(InputError, match="must be a folder, or begin with s3:// or gs://"):
        check_writable("ftp://host/path")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written to"):
        check_writable(str(tmp_path / "file"))


def test_an_object_store_stays_patient_when_it_travels(bucket: str) -> None:
    """pyarrow's own file system loses its retries when it is pickled."""
    filesystem, _ = open_filesystem(bucket)
    assert pickle.loads(pickle.dumps(filesystem)).__reduce__()[1] == filesystem.__reduce__()[1]
    assert filesystem.__reduce__()[1][1] > 10


def test_a_name_goes_before_what_says_how_the_store_is_reached() -> None:
    assert child("s3://b/p?scheme=http", "x") == "s3://b/p/x?scheme=http"
    assert child("/folder", "x") == "/folder/x"
    storage = TrialStorage("s3://b/p/x?scheme=http", "t")
    assert storage.checkpoint_url(7) == "s3://b/p/x/t/checkpoint_0000007"
