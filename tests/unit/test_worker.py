"""A trial's worker: what it says again when it goes on, and where it ends when it is asked to."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from moedsr_platform.trial.folder import stop_trial
from moedsr_platform.trial.worker import run_training


@dataclass(frozen=True)
class Report:
    step: int
    metrics: dict[str, float]
    checkpoint: Path
    done: bool
    history: list[tuple[int, dict[str, float]]] = field(default_factory=list)


def train(*arguments: Any, report: Any, resume_from: Path | None, scratch: Path, stop: Any, **more: Any) -> None:
    """Reports at 5, 10, ... 40, with a score at every second; ends where it is asked to."""
    first = json.loads((resume_from / "meta.json").read_text())["step"] + 5 if resume_from else 5
    for step in range(first, 41, 5):
        stopping = stop()
        metrics = {} if step % 10 else {"val/iou": step / 100}
        folder = scratch / f"step-{step}"
        folder.mkdir()
        (folder / "meta.json").write_text(json.dumps({"step": step, "metrics": metrics}))
        report(Report(step, metrics, folder, step == 40))
        if stopping:
            return


def task(folder: Path) -> dict[str, Any]:
    return {
        "config": '{"data": {"source": "mini-atlas"}}',
        "store": "none",
        "folder": str(folder),
        "metric": "val/iou",
        "mode": "max",
        "threads": 1,
        "device": "cpu",
        "train": train,
    }


class KilledError(BaseException):
    pass


def steps_said(folder: Path, *, stop_at: int | None = None, killed_at: int | None = None) -> list[int]:
    """Steps of the reports of a trial that is asked to end, or killed, when it has said one."""
    said: list[int] = []

    def send(report: dict[str, Any]) -> None:
        if report["step"] == killed_at:
            raise KilledError
        said.append(report["step"])
        if report["step"] == stop_at:
            stop_trial(folder)

    run_training(task(folder), send)
    return said


def test_one_that_is_asked_to_end_saves_itself_at_its_next_report(tmp_path: Path) -> None:
    assert steps_said(tmp_path / "t", stop_at=20) == [5, 10, 15, 20, 25]
    assert steps_said(tmp_path / "t") == [10, 20, 25]  # all that led there, in fewer reports


def test_nothing_is_left_to_clear_away_when_the_end_is_told(tmp_path: Path) -> None:
    """The first time and, since its driver was killed, once more."""
    left = []

    def send(report: dict[str, Any]) -> None:
        if report["ended"]:
            left.append([path.name for path in (tmp_path / "t").glob(".*")])

    for _ in range(2):
        run_training(task(tmp_path / "t"), send)
    assert left == [[], []]


def test_what_a_killed_driver_did_not_hear_is_said_again_before_it_goes_on(tmp_path: Path) -> None:
    """Step 20 had been validated and kept, and early stopping would have ended the trial for it."""
    with pytest.raises(KilledError):
        steps_said(tmp_path / "t", killed_at=20)
    assert steps_said(tmp_path / "t", stop_at=20) == [10, 20, 25]
