"""The log of a sweep, and what a replay makes of it."""

import json
from pathlib import Path

import pytest

from moedsr.errors import InputError
from moedsr_platform.display.board import Board
from moedsr_platform.search.scheduler import EarlyStopping
from moedsr_platform.search.searcher import SweepSearch
from moedsr_platform.sweep.log import Known, SweepLog, replay
from moedsr_platform.sweep_file.schema import SweepFile


def sweep(sampler: str, **more: object) -> SweepFile:
    data = {
        "name": "x",
        "base": {"data": {"source": "mini-atlas"}, "training": {"steps": 90}},
        "search": {"training.learning_rate": {"loguniform": [1e-4, 1e-2]}, "expert.count": {"int": [4, 32]}},
        "sampler": sampler,
        "trials": 12,
        "scheduler": {"asha": {"grace_steps": 10, "reduction_factor": 2}},
        **more,
    }
    return SweepFile.model_validate_json(json.dumps(data))


class Session:
    """A driver of a sweep, with nothing of Tune in it."""

    def __init__(self, file: SweepFile, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.log = SweepLog(folder / "log.jsonl")
        self.board = Board(metric="val/iou", mode="max", total=file.points * file.seeds, steps=90)
        self.search, self.scheduler, self.folder = SweepSearch(file), EarlyStopping(file, lambda trial_id: None), folder
        replay(self.log, self.board, self.search, self.scheduler)

    def ask(self) -> str:
        trial_id = self.log.trial_id(len(self.board.rows) + 1)
        params = self.search.suggest(trial_id)
        self.log.asked(trial_id, params)
        self.board.ask(trial_id, params)
        self.scheduler.on_trial_add(None, Known(trial_id))
        return trial_id

    def validate(self, trial_id: str, step: int) -> None:
        params = self.board.rows[trial_id].params
        metrics = {"val/iou": 1 / params["expert.count"] + params["training.learning_rate"] + step / 1000}
        self.scheduler.on_trial_result(None, Known(trial_id), {"step": step, **metrics})
        self.search.on_trial_result(trial_id, {"step": step, **metrics})
        self.board.report(trial_id, step, metrics, f"/checkpoints/{trial_id}/{step}")
        self.log.validated(trial_id, step, metrics, f"/checkpoints/{trial_id}/{step}")

    def end(self, trial_id: str, failure: str | None = None) -> None:
        result = {"step": self.board.rows[trial_id].validated}
        self.scheduler.on_trial_complete(None, Known(trial_id), result)
        self.search.on_trial_complete(trial_id, {**result, **({"failure": failure} if failure else {})})
        self.board.rows[trial_id].step = result["step"]
        self.board.end(trial_id, failure)
        self.log.ended(trial_id, result["step"], failure)

    def stopped(self, trial_id: str) -> bool:
        return trial_id in self.scheduler.stopped


@pytest.mark.parametrize(("sampler", "seeds"), [("random", 1), ("tpe", 1), ("tpe", 2)])
def test_a_sweep_that_is_interrupted_all_the_time_tries_the_points_of_one_that_is_not(
    sampler: str, seeds: int, tmp_path: Path
) -> None:
    """One trial at a time; the interrupted sweep is made anew from its log before every single event."""
    whole = Session(sweep(sampler, seeds=seeds), tmp_path / "whole")
    for number in range(12):
        for session in (whole,):
            trial_id = session.ask()
            for step in (10, 20, 40, 90):
                session.validate(trial_id, step)
                if session.stopped(trial_id):
                    break
            session.end(trial_id, "ValueError: no" if number == 3 else None)
    place = tmp_path / "torn"
    for number in range(12):
        trial_id = Session(sweep(sampler, seeds=seeds), place).ask()
        for step in (10, 20, 40, 90):
            session = Session(sweep(sampler, seeds=seeds), place)
            session.validate(trial_id, step)
            if session.stopped(trial_id):
                break
        Session(sweep(sampler, seeds=seeds), place).end(trial_id, "ValueError: no" if number == 3 else None)
    torn = Session(sweep(sampler, seeds=seeds), place)
    ours, theirs = list(torn.board.rows.values()), list(whole.board.rows.values())
    assert [(row.params, row.state, row.best) for row in ours] == [(row.params, row.state, row.best) for row in theirs]
    assert {"PRUNED", "COMPLETE", "FAIL"} == {row.state for row in ours}
    assert [row.reason for row in ours] == [row.reason for row in theirs]


def test_a_decision_to_stop_that_nobody_carried_out_is_made_again(tmp_path: Path) -> None:
    session = Session(sweep("random"), tmp_path / "s")
    first = session.ask()
    session.validate(first, 10)
    second = session.ask()
    session.validate(second, 10)
    behind = [trial for trial in (first, second) if session.stopped(trial)]
    assert len(behind) <= 1
    for trial in behind:
        (tmp_path / "s" / trial / "stop").unlink()
    again = Session(sweep("random"), tmp_path / "s")
    assert [trial for trial in (first, second) if again.stopped(trial)] == behind


def test_a_torn_last_line_is_dropped(tmp_path: Path) -> None:
    session = Session(sweep("random"), tmp_path / "s")
    trial_id = session.ask()
    with session.log.path.open("a") as file:
        file.write('{"event": "ended", "tri')
    again = Session(sweep("random"), tmp_path / "s")
    assert [row.trial_id for row in again.board.left] == [trial_id]
    assert again.ask() == f"{trial_id[:-3]}002"
    assert len(list(again.log.events())) == 2


def test_a_log_cut_or_lost_anywhere_is_read_up_to_there(tmp_path: Path) -> None:
    """Of what a machine without power had not written yet, some file systems keep the length and fill in zeros."""
    session = Session(sweep("random"), tmp_path / "s")
    for _ in range(2):
        trial_id = session.ask()
        session.validate(trial_id, 10)
    session.end(trial_id)
    place, key = session.log.path, session.log.key
    whole, events = place.read_bytes(), list(session.log.events())
    for cut in range(whole.index(b"\n") + 1, len(whole), 3):
        left = events[: whole[:cut].count(b"\n") - 1]
        for rest in (b"", bytes(len(whole) - cut), bytes(3) + whole[cut + 3 :]):
            place.write_bytes(whole[:cut] + rest)
            again = SweepLog(place)
            assert again.key == key
            assert list(again.events()) == left
    again.ended(trial_id, 10, None)
    assert list(SweepLog(place).events()) == [*left, {**events[-1], "step": 10}]


def test_a_log_that_was_only_just_made_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("")
    assert SweepLog(tmp_path / "log").trial_id(1).endswith("-001")
    (tmp_path / "log").write_text('{"event": "swe')
    assert list(SweepLog(tmp_path / "log").events()) == []


def test_another_search_than_the_one_that_began_is_refused(tmp_path: Path) -> None:
    Session(sweep("random"), tmp_path / "s").ask()
    with pytest.raises(InputError, match="but the search now gives"):
        Session(sweep("random", sampler_seed=1), tmp_path / "s")


def test_trials_of_two_sweeps_have_different_ids(tmp_path: Path) -> None:
    keys = {SweepLog(tmp_path / str(number)).key for number in range(8)}
    assert len(keys) == 8
