"""Requests on disk: what a killed process leaves is found, in order, once."""

import os
from pathlib import Path

import pytest

from moedsr.errors import InputError
from moedsr_platform.journal import Journal, is_waiting


def ask(*numbers: int) -> list[dict[str, object]]:
    return [{"kind": "tags", "run": "r", "number": number} for number in numbers]


def left_in(folder: Path) -> list[object]:
    journal = Journal(folder)
    found = [request["number"] for request, _ in journal.unsent()]
    journal.close()
    return found


def test_what_was_not_sent_is_found_by_the_next_process(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    positions = [journal.append(request) for request in ask(1, 2, 3)]
    journal.sent(positions[0])
    journal.close()
    assert is_waiting(tmp_path)
    assert left_in(tmp_path) == [2, 3]


def test_a_journal_of_which_all_is_sent_takes_no_room(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for request in ask(*range(100)):
        position = journal.append(request)
    journal.sent(position)
    assert not is_waiting(tmp_path)
    journal.append(ask(7)[0])
    journal.close()
    assert left_in(tmp_path) == [7]


@pytest.mark.parametrize("cut", [1, 10, 20])
def test_a_line_whose_writer_was_killed_halfway_is_dropped(tmp_path: Path, cut: int) -> None:
    journal = Journal(tmp_path)
    for request in ask(1, 2):
        journal.append(request)
    journal.close()
    file = tmp_path / "requests.jsonl"
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
    monkeypatch.setattr("moedsr_platform.journal.LOCK_SECONDS", 0.2)
    journal = Journal(tmp_path)
    with pytest.raises(InputError, match="another process is using it"):
        Journal(tmp_path)
    journal.close()
    Journal(tmp_path).close()
