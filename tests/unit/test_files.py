"""Nothing is left half-written, and what cannot be written is told."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from moedsr.config import PrepareConfig
from moedsr.errors import InputError
from moedsr.files import cache_folder, make_folder, written_whole
from moedsr.store.prepare import prepare_protein
from moedsr.structures.ensemble import find_ensembles

SETTINGS = PrepareConfig(frames=1, surface_points=50, grid_spacing=1.0, occupancy_grid=16)


def write_half(path: Path, error: Exception) -> None:
    with written_whole(path) as aside:
        aside.write_text("hal")
        raise error


def test_a_file_appears_whole(tmp_path: Path) -> None:
    with written_whole(tmp_path / "one.txt") as aside:
        aside.write_text("whole")
        assert not (tmp_path / "one.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["one.txt"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
def test_what_failed_leaves_the_old_file_and_nothing_else(tmp_path: Path, number: int) -> None:
    (tmp_path / "one.txt").write_text("old")
    with pytest.raises(InputError, match=rf"one\.txt: cannot be written \({os.strerror(number)}\); make room or"):
        write_half(tmp_path / "one.txt", OSError(number, os.strerror(number)))
    assert [path.name for path in tmp_path.iterdir()] == ["one.txt"]
    assert (tmp_path / "one.txt").read_text() == "old"


def test_other_errors_pass_and_leave_nothing_either(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        write_half(tmp_path / "one.txt", KeyError("x"))
    assert not list(tmp_path.iterdir())


def test_a_full_disk_stops_preparation_with_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensemble = next(one for one in find_ensembles("mini-atlas") if one.name == "1l2y_A")

    def half(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(InputError, match=r"1l2y_A\.safetensors: cannot be written \(No space left on device\)"):
        prepare_protein(ensemble, SETTINGS, tmp_path / "store")
    assert not list((tmp_path / "store").iterdir())


def test_a_target_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot be written \(Not a directory\)"):
        make_folder(tmp_path / "file" / "store")
    with pytest.raises(InputError, match=r"/proc/store: cannot be written"):  # read-only even for root
        make_folder(Path("/proc/store"))


@pytest.mark.filterwarnings("ignore:invalid value")
def test_pictures_are_written_whole_too(tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    from moedsr.pictures.figures import save_figure

    figure = Figure()
    figure.subplots().plot(np.arange(3))
    save_figure(figure, tmp_path / "new" / "one.png")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["one.png"]


def test_the_cache_is_where_the_variable_says_else_in_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOEDSR_CACHE", "/somewhere")
    assert cache_folder() == Path("/somewhere")
    monkeypatch.delenv("MOEDSR_CACHE")
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache_folder() == Path("/home/someone/.cache/moedsr")
