"""Hostile and damaged archives: nothing outside the folder, no links, no swelling, no surprises."""

import contextlib
import io
import zipfile
from pathlib import Path

import pytest
from atlas_server import archive, members
from hypothesis import given, settings
from hypothesis import strategies as st

from moedsr.structures.atlas.archive import DamagedArchiveError, RefusedArchiveError, unpack

NAME = "1k5n_A"


def take(content: bytes, folder: Path) -> dict[str, int]:
    (folder / "archive.zip").write_bytes(content)
    (folder / "inside").mkdir()
    return unpack(folder / "archive.zip", NAME, folder / "inside")


def everything_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_only_the_expected_files_come_out(tmp_path: Path) -> None:
    files = members(NAME)
    sizes = take(archive({**files, "other.txt": b"no", "deep/er/x.pdb": b"no", f"{NAME}_R1.tpr": b"no"}), tmp_path)
    assert sizes == {file: len(content) for file, content in files.items()}
    assert {path.name: path.read_bytes() for path in (tmp_path / "inside").iterdir()} == files


@pytest.mark.parametrize(
    "path",
    [f"../{NAME}.pdb", f"/tmp/{NAME}.pdb", f"a/../../{NAME}_R1.xtc", f"..\\{NAME}.pdb", f"C:/{NAME}.pdb", "../evil"],
)
def test_paths_out_of_the_folder_are_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(RefusedArchiveError, match="path out of its folder"):
        take(archive({**members(NAME), path: b"evil"}), tmp_path)
    assert everything_below(tmp_path) == ["archive.zip", "inside"]


@pytest.mark.parametrize("path", [f"{NAME}_R1.xtc", "elsewhere"])
def test_links_are_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(RefusedArchiveError, match="a link or a device"):
        take(archive({**members(NAME), path: b"/etc/passwd"}, link=path), tmp_path)
    assert everything_below(tmp_path) == ["archive.zip", "inside"]


def test_bomb_is_refused_before_it_goes_off(tmp_path: Path) -> None:
    bomb = archive({**members(NAME), f"{NAME}_R3.xtc": bytes(50_000_000)})
    with pytest.raises(RefusedArchiveError, match=r"_R3\.xtc swells \d+-fold"):
        take(bomb, tmp_path)
    assert everything_below(tmp_path) == ["archive.zip", "inside"]


def test_bomb_that_lies_about_its_size_stays_as_small_as_it_says(tmp_path: Path) -> None:
    size, said = 50_000_000, 20_000
    bomb = archive({**members(NAME), f"{NAME}_R3.xtc": bytes(size)})
    lying = bomb.replace(size.to_bytes(4, "little"), said.to_bytes(4, "little"))
    assert lying != bomb
    with pytest.raises(DamagedArchiveError):
        take(lying, tmp_path)
    assert (tmp_path / "inside" / f"{NAME}_R3.xtc").stat().st_size <= said


def test_name_twice_is_refused(tmp_path: Path) -> None:
    files = {**members(NAME), f"folder/{NAME}.pdb": b"which?"}
    with pytest.raises(RefusedArchiveError, match=rf"two files '{NAME}\.pdb'"):
        take(archive(files), tmp_path)


@pytest.mark.parametrize(
    ("lacking", "message"),
    [
        (f"{NAME}.pdb", rf"without {NAME}\.pdb"),
        (f"{NAME}_R2.xtc", rf"without {NAME}_R2\.xtc; it holds {NAME}_R1\.xtc, {NAME}_R3\.xtc"),
    ],
)
def test_what_is_lacking_is_named(tmp_path: Path, lacking: str, message: str) -> None:
    files = {name: content for name, content in members(NAME).items() if name != lacking}
    with pytest.raises(RefusedArchiveError, match=message):
        take(archive(files), tmp_path)


def test_empty_and_encrypted_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedArchiveError, match="is empty"):
        take(archive({**members(NAME), f"{NAME}_R1.xtc": b""}), tmp_path)
    (tmp_path / "inside").rmdir()
    locked = bytearray(archive(members(NAME)))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = locked.find(mark)
        locked[at + offset] |= 1
    with pytest.raises(RefusedArchiveError, match="another kind"):
        take(bytes(locked), tmp_path)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_damage_is_a_clean_refusal(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    content = bytearray(SMALL)
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    folder = tmp_path_factory.mktemp("damage")
    with contextlib.suppress(DamagedArchiveError, RefusedArchiveError):
        take(bytes(content[: data.draw(st.integers(0, len(content)))]), folder)
    assert {path.name for path in folder.iterdir()} == {"archive.zip", "inside"}


def _small() -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as file:
        for name in members(NAME):
            file.writestr(name, b"some content " * 5)
    return held.getvalue()


SMALL = _small()
