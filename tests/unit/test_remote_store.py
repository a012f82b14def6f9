"""Stores in object stores: fsspec's memory file system within this process, and S3 as moto serves it on loopback."""

import json
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest
from s3_server import s3_bucket

from moedsr.config import PrepareConfig
from moedsr.errors import InputError
from moedsr.store.prepare import prepare_serially
from moedsr.store.remote_folder import RemoteFolder, is_remote
from moedsr.store.remote_store import (
    find_remote_ensembles,
    finish_remote_store,
    prepare_anywhere,
    save_remote_split,
    start_remote_store,
)
from moedsr.store.store import SurfaceStore
from moedsr.structures.ensemble import Ensemble, find_ensembles

SETTINGS = PrepareConfig(frames=2, surface_points=50, occupancy_grid=24)
NAMES = ("1l2y_A", "1vii_A")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MOEDSR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(params=["memory", "s3"])
def address(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty remote folder."""
    if request.param == "memory":
        filesystem = fsspec.filesystem("memory")
        yield "memory://bucket"
        filesystem.store.clear()
        return
    with s3_bucket(monkeypatch) as bucket:
        yield bucket


def upload(address: str, names: tuple[str, ...]) -> list[Ensemble]:
    ensembles = [one for one in find_ensembles("mini-atlas") if one.name in names]
    for ensemble in ensembles:
        folder = RemoteFolder(address)
        for path in (ensemble.topology, *ensemble.trajectories):
            folder.upload(path, f"{ensemble.name}/{path.name}")
    return ensembles


def test_a_url_is_remote_and_a_mounted_folder_is_not() -> None:
    assert is_remote("s3://bucket/folder")
    assert is_remote(Path("gs://bucket/folder"))
    assert not is_remote("/mnt/nfs/folder")
    assert not is_remote("mini-atlas")
    assert RemoteFolder(Path("memory://a/b")).address == "memory://a/b"


def test_from_remote_to_remote_and_read(address: str, tmp_path: Path, cache: Path) -> None:
    upload(f"{address}/source", NAMES)
    found = find_remote_ensembles(f"{address}/source")
    assert [one.name for one in found] == list(NAMES)
    target = f"{address}/store"
    entries = [prepare_anywhere(one, SETTINGS, target) for one in found]
    fingerprint = finish_remote_store(target, SETTINGS, entries, {"9xyz_A": "no frames"})
    assert json.loads(RemoteFolder(target).read("manifest.json") or b"")["set_aside"] == {"9xyz_A": "no frames"}

    local = prepare_serially("mini-atlas", SETTINGS, tmp_path / "local", NAMES)
    assert fingerprint == local.fingerprint
    # as a configuration holds it
    store = SurfaceStore.open(Path(target), SETTINGS)
    assert store.path.is_relative_to(cache)
    assert store.fingerprint == local.fingerprint
    assert np.array_equal(store.protein("1l2y_A").frame(1).points, local.protein("1l2y_A").frame(1).points)
    assert SurfaceStore.open(target).path == store.path


def test_what_is_finished_is_not_made_again(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (local,) = upload(f"{address}/source", ("1l2y_A",))
    target = f"{address}/store"
    (remote,) = find_remote_ensembles(f"{address}/source")
    first = prepare_anywhere(remote, SETTINGS, target)
    with monkeypatch.context() as patched:
        patched.setattr("moedsr.store.remote_store.prepare_protein", lambda *args: pytest.fail("made again"))
        assert prepare_anywhere(remote, SETTINGS, target) == first
    other = SETTINGS.model_copy(update={"surface_points": 40})
    assert prepare_anywhere(remote, other, target).checksum != first.checksum
    from_here = prepare_anywhere(local, SETTINGS, target)
    assert from_here.checksum == first.checksum


def test_remote_source_into_a_folder(address: str, tmp_path: Path) -> None:
    upload(f"{address}/source", ("1l2y_A",))
    (remote,) = find_remote_ensembles(f"{address}/source")
    entry = prepare_anywhere(remote, SETTINGS, str(tmp_path / "store"))
    assert (tmp_path / "store" / "1l2y_A.safetensors").stat().st_size == entry.size


def test_what_is_wrong_is_told(address: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no entry"):
        find_remote_ensembles(f"{address}/none")
    with pytest.raises(InputError, match=r"holds no manifest\.json"):
        SurfaceStore.open(f"{address}/none")
    (tmp_path / "x.pdb").write_text("END\n")
    RemoteFolder(f"{address}/bad").upload(tmp_path / "x.pdb", "x/x.pdb")
    (entry,) = find_remote_ensembles(f"{address}/bad")
    with pytest.raises(InputError, match=rf"{address}/bad/x"):
        prepare_anywhere(entry, SETTINGS, f"{address}/store")
    assert RemoteFolder(f"{address}/store").list() == []
    with pytest.raises(InputError, match="cannot be reached"):
        RemoteFolder("nosuch://bucket/folder")


def test_an_altered_file_is_noticed(address: str, tmp_path: Path) -> None:
    (local,) = upload(f"{address}/source", ("1l2y_A",))
    target = f"{address}/store"
    entry = prepare_anywhere(local, SETTINGS, target)
    finish_remote_store(target, SETTINGS, [entry], {})
    (tmp_path / "damaged").write_bytes(b"0" * entry.size)
    RemoteFolder(target).upload(tmp_path / "damaged", "1l2y_A.safetensors")
    with pytest.raises(InputError, match="was altered"):
        SurfaceStore.open(target)


def test_a_split_is_kept_beside_the_store_and_reaches_its_readers(address: str) -> None:
    local = upload(f"{address}/source", NAMES)
    target = f"{address}/store"
    start_remote_store(target, SETTINGS)
    entries = [prepare_anywhere(one, SETTINGS, target) for one in local]
    finish_remote_store(target, SETTINGS, entries, {})
    before = SurfaceStore.open(target)
    save_remote_split(target, dict(zip(NAMES, ("val", "test"), strict=True)), {"seed": 1})
    again = SurfaceStore.open(target)
    assert (again.path, again.fingerprint) == (before.path, before.fingerprint)
    assert (again.names("val"), again.names("test")) == (["1l2y_A"], ["1vii_A"])
    finish_remote_store(target, SETTINGS, entries, {})  # prepared again
    assert SurfaceStore.open(target).names("val") == ["1l2y_A"]


def test_another_store_in_the_same_place_is_refused(address: str, tmp_path: Path) -> None:
    local = upload(f"{address}/source", ("1l2y_A",))
    target = f"{address}/store"
    finish_remote_store(target, SETTINGS, [prepare_anywhere(local[0], SETTINGS, target)], {})
    start_remote_store(target, SETTINGS)
    with pytest.raises(InputError, match=rf"{target}: was prepared with frames 2, but 3 is wanted"):
        start_remote_store(target, SETTINGS.model_copy(update={"frames": 3}))
    (tmp_path / "manifest.json").write_text('{"format_version": 1}')
    RemoteFolder(target).upload(tmp_path / "manifest.json", "manifest.json")
    with pytest.raises(InputError, match=rf"{target}: has store format 1, but must have 3"):
        start_remote_store(target, SETTINGS)
