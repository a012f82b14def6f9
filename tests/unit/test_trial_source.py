"""Trials for Tune, under ids of our own."""

from pathlib import Path
from typing import Any

import pytest
from ray.tune.search.searcher import Searcher

from moedsr_platform.display.board import Board
from moedsr_platform.interruption import Interruption
from moedsr_platform.sweep.log import SweepLog
from moedsr_platform.sweep.trial_source import TrialSource


class Counting(Searcher):
    """Gives every new trial the next number, and a known one its own again."""

    def __init__(self) -> None:
        super().__init__(metric="val/iou", mode="max")
        self.given: dict[str, int] = {}
        self.told: list[tuple[str, bool]] = []

    def suggest(self, trial_id: str) -> dict[str, Any]:
        return {"expert.count": self.given.setdefault(trial_id, len(self.given) + 1)}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self.told.append((trial_id, error))


@pytest.fixture
def board() -> Board:
    return Board(metric="val/iou", mode="max", total=3, steps=10)


def source(board: Board, folder: Path, at_once: int = 1) -> TrialSource:
    return TrialSource(Counting(), at_once, board, SweepLog(folder / "log.jsonl"), Interruption())


def test_no_more_at_once_than_may_and_no_more_than_there_are(board: Board, tmp_path: Path) -> None:
    trials = source(board, tmp_path, at_once=2)
    ids = [trials.next_id() for _ in range(3)]
    assert ids[2] is None
    assert [row.state for row in board.rows.values()] == ["WAITING", "WAITING"]
    board.end(str(ids[0]), None)
    assert trials.next_id() is not None
    assert trials.is_finished()
    assert [event["params"]["expert.count"] for event in SweepLog(tmp_path / "log.jsonl").events()] == [1, 2, 3]


def test_unfinished_trials_come_first_and_are_not_logged_again(board: Board, tmp_path: Path) -> None:
    log = SweepLog(tmp_path / "log.jsonl")
    for number in (1, 2):
        log.asked(log.trial_id(number), {"expert.count": number})
        board.ask(log.trial_id(number), {"expert.count": number})
    board.end(log.trial_id(1), None)
    trials = source(board, tmp_path)
    assert trials.next_id() == log.trial_id(2)
    assert trials.next_id() is None
    board.end(log.trial_id(2), None)
    assert trials.next_id() == log.trial_id(3)
    assert len(list(log.events())) == 3


def test_once_the_end_is_asked_for_nothing_is_given_and_nothing_half_is_told(board: Board, tmp_path: Path) -> None:
    trials = source(board, tmp_path)
    first = str(trials.next_id())
    assert not trials.is_finished()
    trials.interruption.asked = "SIGTERM"
    assert trials.is_finished()
    trials.on_trial_complete(first, {"ended": False})  # it saved itself
    trials.on_trial_complete(first, error=True)  # its process was lost
    assert trials.searcher.told == []
    trials.on_trial_complete(first, {"ended": True})
    trials.on_trial_complete(first, {"failure": "ValueError"})
    assert [trial for trial, _ in trials.searcher.told] == [first, first]
