"""Requests on disk: what a killed process leaves is found, in order, once."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from moedsr.errors import InputError
from moedsr_platform.tracking.journal import REQUESTS, SENT, Journal, is_waiting


def ask(*numbers: int) -> list[dict[str, object]]:
    return [{"number": number} for number in numbers]


def left_in(folder: Path) -> list[object]:
    journal = Journal(folder)
    found = [request["number"] for request, _ in journal.unsent()]
    journal.close()
    return found


def test_what_was_not_sent_is_found_by_the_next_process(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    given = [journal.append(request) for request in ask(1, 2, 3)]
    journal.sent(given[0])
    journal.close()
    assert is_waiting(tmp_path)
    assert left_in(tmp_path) == [2, 3]


def test_a_journal_of_which_all_is_sent_takes_no_room(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for request in ask(*range(100)):
        last = journal.append(request)
    journal.sent(last)
    assert (tmp_path / REQUESTS).stat().st_size == 0
    assert not is_waiting(tmp_path)
    journal.append(ask(7)[0])
    journal.close()
    assert left_in(tmp_path) == [7]


@pytest.mark.parametrize("cut", [1, 5, 10])
def test_a_line_whose_writer_was_killed_halfway_is_dropped(tmp_path: Path, cut: int) -> None:
    journal = Journal(tmp_path)
    for request in ask(1, 2):
        journal.append(request)
    journal.close()
    file = tmp_path / REQUESTS
    os.truncate(file, file.stat().st_size - cut)
    again = Journal(tmp_path)
    assert [request["number"] for request, _ in again.unsent()] == [1]
    again.append(ask(3)[0])
    again.close()
    assert left_in(tmp_path) == [1, 3]


def test_values_come_back_as_they_were(tmp_path: Path) -> None:
    points = [["val/iou", float("inf"), 3, 17], ["train/loss", 0.1 + 0.2, 4, 18]]
    journal = Journal(tmp_path)
    journal.append({"kind": "points", "run": "ü", "points": points})
    journal.close()
    ((request, _),) = Journal(tmp_path).unsent()
    assert request == {"kind": "points", "run": "ü", "points": points}


def test_two_processes_do_not_share_a_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moedsr_platform.tracking.journal.LOCK_SECONDS", 0.2)
    journal = Journal(tmp_path)
    with pytest.raises(InputError, match="another process is using it"):
        Journal(tmp_path)
    journal.close()
    Journal(tmp_path).close()


@pytest.fixture
def six(tmp_path: Path) -> Callable[[int], Path]:
    """A folder with six requests, of which so many were noted as sent; all of them, in a file not yet emptied, too."""
    journal = Journal(tmp_path / "six")
    for request in ask(*range(1, 7)):
        journal.append(request)
    journal.close()

    def make(sent: int) -> Path:
        folder = tmp_path / str(sent)
        shutil.copytree(tmp_path / "six", folder)
        if sent:
            (folder / SENT).write_text(f"{sent}\n")
        return folder

    return make


def goes_on(folder: Path, found: list[object]) -> None:
    """Exactly these are found, and what is asked from now on comes after them."""
    assert is_waiting(folder) == bool(found)
    journal = Journal(folder)
    assert [request["number"] for request, _ in journal.unsent()] == found
    numbers = [number for _, number in journal.unsent()]
    assert numbers == sorted(set(numbers))
    numbers += [journal.append(request) for request in ask(7, 8)]
    journal.close()
    assert left_in(folder) == [*found, 7, 8]
    journal = Journal(folder)
    for number in numbers:
        assert is_waiting(folder)
        journal.sent(number)
    assert not is_waiting(folder)
    journal.append(ask(9)[0])
    journal.close()
    assert left_in(folder) == [9]


@pytest.mark.parametrize("sent", range(7))
def test_requests_cut_at_any_byte(sent: int, six: Callable[[int], Path]) -> None:
    """A machine lost its power: the note of what was sent is of later than what is left of the requests."""
    folder = six(sent)
    whole = (folder / REQUESTS).read_bytes()
    note = f"{sent}\n" if sent else ""
    for cut in range(len(whole) + 1):
        (folder / REQUESTS).write_bytes(whole[:cut])
        (folder / SENT).write_text(note)
        goes_on(folder, [*range(sent + 1, 1 + whole[:cut].count(b"\n"))])


@pytest.mark.parametrize("note", ["12\n", "3\n"])
def test_a_note_cut_at_any_byte_leaves_nothing_out(note: str, tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for request in ask(*range(1, 16)):
        journal.append(request)
    journal.close()
    whole = (tmp_path / REQUESTS).read_bytes()
    for cut in range(len(note)):
        (tmp_path / REQUESTS).write_bytes(whole)
        (tmp_path / SENT).write_text(note[:cut])
        goes_on(tmp_path, [*range(1, 16)])


@pytest.mark.parametrize("start", [0, 20, 40])
def test_blocks_that_never_reached_the_disk_are_left_out(
    start: int, six: Callable[[int], Path], caplog: pytest.LogCaptureFixture
) -> None:
    """Some file systems fill them with zeros."""
    folder = six(0)
    whole = bytearray((folder / REQUESTS).read_bytes())
    whole[start : start + 30] = bytes(30)
    (folder / REQUESTS).write_bytes(whole)
    kept = [line for line in bytes(whole).split(b"\n")[:-1] if not line.count(b"\0")]
    assert 2 < len(kept) < 6
    goes_on(folder, [int(line.split()[0]) for line in kept])
    assert f"a damaged line of {folder / REQUESTS} is left out" in caplog.text
