"""A digest follows every byte of a file, and a file that has not changed is read once."""

import os
import time
from pathlib import Path

import pytest

from moedsr.structures import input_digest
from moedsr.structures.input_digest import content_digest


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MOEDSR_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "long.xtc"
    path.write_bytes(bytes(range(256)) * 4096)
    return path


def flip(path: Path, place: int) -> None:
    """Another byte at the place; size and time of modification stay."""
    before = path.stat()
    with path.open("r+b") as stream:
        stream.seek(place)
        byte = stream.read(1)
        stream.seek(place)
        stream.write(bytes([byte[0] ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("place", [0, 300_000, 500_001, 1024 * 1024 - 1])
@pytest.mark.parametrize("settled", [False, True])
def test_a_change_anywhere_is_noticed(file: Path, place: int, settled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if settled:
        monkeypatch.setattr(input_digest, "_SETTLED", -1)
    before = content_digest(file)
    assert content_digest(file) == before
    time.sleep(0.02)  # the file system's clock ticks
    flip(file, place)
    assert content_digest(file) != before


def test_an_unchanged_file_is_read_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(input_digest, "_SETTLED", -1)
    before = content_digest(file)
    monkeypatch.setattr(input_digest, "file_digest", lambda *args: pytest.fail("read again"))
    assert content_digest(file) == before


def test_a_file_of_just_now_is_not_trusted(file: Path, tmp_path: Path) -> None:
    content_digest(file)
    assert not (tmp_path / "cache").exists()


def test_a_damaged_record_and_a_cache_that_cannot_be_written(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(input_digest, "_SETTLED", -1)
    before = content_digest(file)
    (record,) = (tmp_path / "cache" / "digests").iterdir()
    record.write_text("[1]")
    assert content_digest(file) == before
    (tmp_path / "blocked").touch()
    monkeypatch.setenv("MOEDSR_CACHE", str(tmp_path / "blocked"))
    assert content_digest(file) == before
