"""A store is read back as it was written, and a damaged one is told, not used."""

import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from moedsr.config import PrepareConfig
from moedsr.errors import InputError
from moedsr.store.prepare import prepare_serially
from moedsr.store.protein_file import StoredProtein, read_metadata, write_protein
from moedsr.store.store import SurfaceStore, check_store
from moedsr.store.store_index import write_index

SETTINGS = PrepareConfig(frames=3, surface_points=80, grid_spacing=0.8, occupancy_grid=20)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    prepare_serially("mini-atlas", SETTINGS, folder, ["1l2y_A", "1ppe_I", "1vii_A"])
    return folder


@pytest.fixture
def folder(pristine: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(pristine, tmp_path / "store"))


def edit_manifest(folder: Path, **changes: object) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_names_and_splits(pristine: Path) -> None:
    store = SurfaceStore.open(str(pristine), SETTINGS)
    assert store.path == pristine
    assert store.settings == SETTINGS
    assert store.names() == ["1l2y_A", "1ppe_I", "1vii_A"]
    assert store.names("train") == ["1l2y_A", "1ppe_I"]
    assert store.names("val") == []
    assert store.protein("1vii_A").split == "test"
    with pytest.raises(InputError, match=r"unknown split `tset` \(did you mean `test`\?\); allowed: train, val, test"):
        store.names("tset")


def test_shapes_and_types(pristine: Path) -> None:
    protein = SurfaceStore.open(pristine).protein("1l2y_A")
    frame = protein.frame(2)
    assert (frame.points.shape, frame.normals.shape, frame.sigma.shape) == ((80, 3), (80, 3), (80,))
    assert frame.points.dtype == frame.normals.dtype == frame.sigma.dtype == protein.times.dtype == np.float32
    assert protein.occupancy(2).shape == (20, 20, 20)
    assert protein.occupancy(2).dtype == bool
    assert protein.atom_positions.shape == protein.frame_atoms(3).shape == (304, 3)
    assert protein.residue_positions.shape == (20, 3)
    assert protein.residue_types.dtype == protein.replicas.dtype == np.int64
    assert len(protein) == len(protein.times) == len(protein.replicas) == 4
    assert np.abs(frame.points).max() < protein.scale


def test_index_agrees_with_the_files(pristine: Path) -> None:
    store = SurfaceStore.open(pristine)
    for name, entry in store.entries.items():
        protein = store.protein(name)
        assert entry.scale == protein.scale
        assert entry.centre == tuple(protein.centre)
        assert entry.sequence == protein.sequence
        assert entry.frames == len(protein)


def test_frames_may_be_changed_without_harm(pristine: Path) -> None:
    protein = SurfaceStore.open(pristine).protein("1l2y_A")
    expected = protein.frame(1).points.copy()
    protein.frame(1).points[:] = 0
    assert np.array_equal(protein.frame(1).points, expected)


def test_store_goes_to_other_processes(pristine: Path) -> None:
    store = SurfaceStore.open(pristine)
    expected = store.protein("1l2y_A").frame(1).points
    for copy in (
        pickle.loads(pickle.dumps(store)).protein("1l2y_A"),
        pickle.loads(pickle.dumps(store.protein("1l2y_A"))),
    ):
        assert np.array_equal(copy.frame(1).points, expected)


def test_fingerprint_follows_content_not_split(folder: Path) -> None:
    store = SurfaceStore.open(folder)
    entries = list(store.entries.values())
    write_index(folder, SETTINGS, [type(one)(**{**one.__dict__, "split": "val"}) for one in entries])
    resplit = SurfaceStore.open(folder)
    assert resplit.names("val") == store.names()
    assert resplit.fingerprint == store.fingerprint
    write_index(folder, SETTINGS, entries[:2])
    assert SurfaceStore.open(folder).fingerprint != store.fingerprint


def test_sound_store_is_verified(pristine: Path) -> None:
    assert check_store(pristine).names() == ["1l2y_A", "1ppe_I", "1vii_A"]


def test_unknown_protein_names_the_nearest(pristine: Path) -> None:
    store = SurfaceStore.open(pristine)
    with pytest.raises(InputError, match=r"has no protein `1l2y_B` \(did you mean `1l2y_A`\?\)"):
        store.protein("1l2y_B")


@pytest.mark.parametrize("index", [-1, 4])
def test_unknown_frame_is_told(pristine: Path, index: int) -> None:
    protein = SurfaceStore.open(pristine).protein("1l2y_A")
    for read in (protein.frame, protein.occupancy, protein.frame_atoms):
        with pytest.raises(InputError, match=rf"1l2y_A: has no frame {index}; frames are 0 to 3"):
            read(index)


def test_missing_or_unfinished_store_is_told(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none: no such folder; make one with `moedsr data prepare`"):
        SurfaceStore.open(tmp_path / "none")
    (folder / "manifest.json").unlink()
    with pytest.raises(InputError, match=r"holds no manifest\.json, so no finished store lies there"):
        SurfaceStore.open(folder)


def test_other_settings_are_told(pristine: Path) -> None:
    asked = SETTINGS.model_copy(update={"surface_points": 5000})
    with pytest.raises(InputError, match="was prepared with surface_points 80, but 5000 is wanted"):
        SurfaceStore.open(pristine, asked)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 0}, r"has store format 0, but must have 3; prepare it again"),
        ({"settings": {"frames": "many"}}, r"manifest\.json: its settings are damaged"),
        ({"fingerprint": "0"}, r"proteins\.parquet: does not belong to its manifest\.json"),
    ],
)
def test_wrong_manifest_is_told(folder: Path, changes: dict[str, object], message: str) -> None:
    edit_manifest(folder, **changes)
    with pytest.raises(InputError, match=message):
        SurfaceStore.open(folder)


@pytest.mark.parametrize("name", ["manifest.json", "proteins.parquet"])
@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff\xfe"])
def test_damaged_index_is_told(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{name}: .*; prepare the store again") as caught:
        SurfaceStore.open(folder)
    assert "\n" not in str(caught.value)


def test_missing_and_truncated_files_are_told_at_once(folder: Path) -> None:
    path = folder / "1ppe_I.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(InputError, match=rf"1ppe_I\.safetensors: has {len(content) - 1} bytes, but must have"):
        SurfaceStore.open(folder)
    path.unlink()
    with pytest.raises(InputError, match=r"1ppe_I\.safetensors: is missing"):
        SurfaceStore.open(folder)


def test_altered_content_is_found_by_its_checksum(folder: Path) -> None:
    path = folder / "1ppe_I.safetensors"
    content = bytearray(path.read_bytes())
    content[-1000] ^= 1
    path.write_bytes(content)
    SurfaceStore.open(folder)
    with pytest.raises(InputError, match=r"1ppe_I\.safetensors: was altered, its checksum differs"):
        check_store(folder)


def test_tensors_of_wrong_shape_are_found(folder: Path) -> None:
    """Checksums agree, but the index was written for other settings."""
    entries = list(SurfaceStore.open(folder).entries.values())
    write_index(folder, SETTINGS.model_copy(update={"surface_points": 81}), entries)
    with pytest.raises(InputError, match=r"tensor `points` has shape \(4, 80, 3\), but must have \(4, 81, 3\)"):
        check_store(folder)


@pytest.mark.parametrize(("key", "most"), [("ca_index", 304), ("residue_of_atom", 20), ("residue_types", 21)])
def test_indices_that_lead_nowhere_are_told(tiny_store: SurfaceStore, tmp_path: Path, key: str, most: int) -> None:
    source = tiny_store.path / "1l2y_A.safetensors"
    tensors = load_file(source)
    tensors[key] = tensors[key].copy()
    tensors[key][3] = most
    write_protein(tmp_path / source.name, tensors, read_metadata(source))
    with pytest.raises(InputError, match=rf"is damaged \(`{key}` leads beyond its {most} entries\)"):
        getattr(StoredProtein(tmp_path / source.name, "1l2y_A", None), key)


READER = """
import sys
from moedsr.store.store import SurfaceStore
store = SurfaceStore.open(sys.argv[1])
for name in store.names():
    protein = store.protein(name)
    frames = [protein.frame(index) for index in range(len(protein))]
print("read", flush=True)
sys.stdin.read()
"""


def mapped(pid: int, folder: Path) -> dict[str, int]:
    """KiB by kind that a process holds of the files of a folder: all of them are mapped, none was copied."""
    sums = dict.fromkeys(("Rss", "Pss", "Private", "Shared"), 0)
    own = False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        name, _, value = line.partition(":")
        if "-" in name.split()[0]:  # the line of a mapping: addresses, rights, file
            own = str(folder) in line
        elif own and (kind := name.partition("_")[0]) in sums and not name.startswith("Pss_"):
            sums[kind] += int(value.split()[0])
    return sums


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_readers_on_one_machine_share_their_pages(pristine: Path) -> None:
    """Three trials on a machine hold what one holds: each page is there once, and belongs to all."""
    command = [sys.executable, "-c", READER, str(pristine)]
    readers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    try:
        for reader in readers:
            assert reader.stdout is not None
            assert reader.stdout.readline() == "read\n"
        held = [mapped(reader.pid, pristine) for reader in readers]
    finally:
        for reader in readers:
            reader.communicate()
    size = sum(path.stat().st_size for path in pristine.glob("*.safetensors")) / 1024
    for each in held:
        assert 0.5 * size < each["Rss"] < 1.5 * size + 64  # in whole pages, with what the system reads ahead
        assert each["Private"] + each["Shared"] == each["Rss"]
        assert each["Private"] < 0.2 * each["Rss"]
    assert sum(each["Pss"] for each in held) < 1.2 * max(each["Rss"] for each in held)
