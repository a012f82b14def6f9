"""A trial's worker: how far a stopped trial gets does not hang on how fast its reports are heard."""

import json
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from moedsr_platform.trial_folder import hear_trial, stop_trial
from moedsr_platform.worker import run_training


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
        "waits": True,
        "train": train,
    }


def steps_heard(folder: Path, delay: float, *, stop_at: int | None) -> list[int]:
    """Steps of the reports of a trial whose validations are judged so many seconds after they were made."""
    heard: list[int] = []
    judged: list[threading.Thread] = []

    def judge(step: int) -> None:
        time.sleep(delay)
        if step == stop_at:
            stop_trial(folder)
        hear_trial(folder, step)

    def send(said: dict[str, Any]) -> None:
        heard.append(said["step"])
        if "val/iou" in said:
            judged.append(threading.Thread(target=judge, args=(said["step"],)))
            judged[-1].start()

    run_training(task(folder), send)
    for thread in judged:
        thread.join()
    return heard


@pytest.mark.parametrize("delay", [0, 0.3])
def test_a_trial_waits_until_its_validation_was_judged(delay: float, tmp_path: Path) -> None:
    assert steps_heard(tmp_path / "t", delay, stop_at=20) == [5, 10, 15, 20, 25]


def test_one_that_goes_on_waits_for_the_judgement_that_the_session_before_did_not_give(tmp_path: Path) -> None:
    """The driver was killed when step 20 had been validated: that was kept, and never heard."""
    folder = tmp_path / "t"

    class KilledError(BaseException):
        pass

    def send(said: dict[str, Any]) -> None:
        if said["step"] == 20:
            raise KilledError
        hear_trial(folder, said["step"])

    with pytest.raises(KilledError):
        run_training(task(folder), send)
    assert steps_heard(folder, 0.3, stop_at=20) == [10, 20, 25]


def test_one_that_is_asked_to_save_itself_does_not_wait(tmp_path: Path) -> None:
    folder = tmp_path / "t"

    def send(said: dict[str, Any]) -> None:
        heard.append(said["step"])
        if said["step"] == 10:
            (folder / "pause").touch()
        else:
            hear_trial(folder, said["step"])

    heard: list[int] = []
    run_training(task(folder), send)
    assert heard == [5, 10, 15]
