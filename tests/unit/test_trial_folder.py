"""What a trial keeps on disk, and what it can say again."""

import json
import shutil
import threading
from pathlib import Path

import pytest

from moedsr.errors import JobError
from moedsr_platform.trial.folder import Spoken, TrialFolder, pause_trial, step_of, stop_trial
from moedsr_platform.trial.worker import joined


def folder_in(path: Path, mode: str = "max") -> TrialFolder:
    folder = TrialFolder(path / "trial", metric="val/iou", mode=mode)
    folder.take()
    return folder


def checkpoint(folder: TrialFolder, step: int, **metrics: float) -> Path:
    """As training writes one; returns where it is kept."""
    made = folder.scratch / f"made-{step}"
    made.mkdir()
    named = {name.replace("_", "/"): value for name, value in metrics.items()}
    (made / "meta.json").write_text(json.dumps({"step": step, "metrics": named}))
    return folder.keep(made, step)


def kept(folder: TrialFolder) -> list[int]:
    return sorted(step_of(path) for path in folder.path.glob("checkpoint_*"))


def said(step: int, iou: float | None = None, done: bool = False) -> Spoken:
    metrics = {"train/loss": 1.0 / step} if iou is None else {"val/iou": iou}
    return Spoken(step=step, metrics=metrics, history=[(step - 1, {"train/loss": 2.0})], done=done)


@pytest.mark.parametrize(
    ("mode", "values", "steps"),
    [
        ("max", [0.1, 0.9, 0.5, 0.2], [2, 4]),
        ("min", [0.5, 0.9, 0.1, 0.2], [3, 4]),
        ("max", [0.1, 0.2, 0.3, 0.4], [4]),
        ("max", [0.9, 0.9, 0.9, 0.9], [1, 4]),  # among equals the first is the best, as in the table
        ("max", [0.1, float("nan"), 0.05], [1, 3]),
    ],
)
def test_the_last_and_the_best_checkpoint_are_kept(
    tmp_path: Path, mode: str, values: list[float], steps: list[int]
) -> None:
    folder = folder_in(tmp_path, mode)
    for step, value in enumerate(values, start=1):
        checkpoint(folder, step, val_iou=value)
        assert len(kept(folder)) <= 2
    assert kept(folder) == steps
    assert folder.last == folder.path / f"checkpoint_{steps[-1]:07d}"


def test_a_checkpoint_that_was_not_validated_is_the_last_but_not_the_best(tmp_path: Path) -> None:
    folder = folder_in(tmp_path)
    checkpoint(folder, 1, val_iou=0.5)
    checkpoint(folder, 2, train_loss=1.0)
    assert kept(folder) == [1, 2]
    checkpoint(folder, 3, val_iou=0.4)
    assert kept(folder) == [1, 3]


def test_what_a_killed_process_left_half_written_is_cleared_away(tmp_path: Path) -> None:
    folder = folder_in(tmp_path)
    checkpoint(folder, 2, val_iou=0.5)
    for report in (said(1), said(2, 0.5), said(3)):
        folder.write_down(report)
    with (folder.path / "reports.jsonl").open("a") as file:
        file.write('[4, {"train/lo')
    (folder.scratch / ".checkpoint_0000004.tmp").mkdir()
    after = folder_in(tmp_path)
    # the third report is made again, the fourth was never whole
    assert [report.step for report in after.spoken()] == [1, 2]
    assert [path.name for path in after.path.iterdir() if path.name.startswith(".")] == [after.scratch.name]
    after.release()
    assert sorted(path.name for path in after.path.iterdir()) == [
        "checkpoint_0000002",
        "lock",
        "owner",
        "reports.jsonl",
    ]


def test_reports_come_back_as_they_were(tmp_path: Path) -> None:
    folder = folder_in(tmp_path)
    reports = [said(1), said(2, 0.5), said(3, done=True)]
    for report in reports:
        folder.write_down(report)
    assert list(folder.spoken()) == reports


def test_reports_without_a_validation_are_joined_to_the_next_one(tmp_path: Path) -> None:
    folder = folder_in(tmp_path)
    reports = [said(2), said(4, 0.5), said(6), said(8), said(10, done=True)]
    first, second = joined(reports, folder.validated)
    assert (first.step, [step for step, _ in first.history]) == (4, [1, 2, 3])
    assert (second.step, [step for step, _ in second.history], second.done) == (10, [5, 6, 7, 8, 9], True)
    assert joined([], folder.validated) == []


def test_a_process_whose_trial_was_started_elsewhere_writes_nothing_more(tmp_path: Path) -> None:
    lost = folder_in(tmp_path)
    folder_in(tmp_path)
    with pytest.raises(JobError, match="this trial was started again elsewhere"), lost.writing():
        raise AssertionError("it may not write")


def test_a_trial_is_not_taken_over_between_a_report_and_its_checkpoint(tmp_path: Path) -> None:
    """Who takes it over goes on from a checkpoint that the one before deletes no more."""
    lost, taken = folder_in(tmp_path), threading.Event()
    after = TrialFolder(lost.path, metric="val/iou", mode="max")
    other = threading.Thread(target=lambda: (after.take(), taken.set()))
    checkpoint(lost, 1, val_iou=0.1)
    with lost.writing():
        other.start()
        assert not taken.wait(0.3)
        checkpoint(lost, 2, val_iou=0.5)
    other.join(10)
    assert after.last == after.checkpoint(2)


def test_a_trial_is_asked_to_stop_and_says_why_it_failed_through_its_folder(tmp_path: Path) -> None:
    folder = TrialFolder(tmp_path / "trial", metric="val/iou", mode="max")
    assert (folder.request, folder.failure) == (None, None)
    pause_trial(folder.path)
    assert folder.request == "pause"
    stop_trial(folder.path)
    folder.fail("lost")
    assert (folder.request, folder.failure) == ("stop", "lost")
    assert not (folder.path / "traceback.txt").exists()
    try:
        raise ValueError("unlucky")
    except ValueError:
        folder.fail("ValueError: unlucky")
    assert folder.failure == "ValueError: unlucky"
    assert "in test_a_trial_is_asked_to_stop" in (folder.path / "traceback.txt").read_text()


def test_a_trial_that_starts_again_is_paused_no_longer_but_still_stopped(tmp_path: Path) -> None:
    pause_trial(tmp_path / "trial")
    assert folder_in(tmp_path).request is None
    stop_trial(tmp_path / "trial")
    assert folder_in(tmp_path).request == "stop"


def test_half_of_a_checkpoint_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process is killed while it removes the one before."""
    folder = folder_in(tmp_path)
    checkpoint(folder, 1, val_iou=0.1)

    def begin_to_remove(path: Path, ignore_errors: bool = False) -> None:
        if path.exists():
            (path / "meta.json").unlink()
            raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        killed.setattr(shutil, "rmtree", begin_to_remove)
        with pytest.raises(KeyboardInterrupt):
            checkpoint(folder, 2, val_iou=0.2)
    after = folder_in(tmp_path)
    assert kept(after) == [2]
    checkpoint(after, 3, val_iou=0.1)
    assert kept(after) == [2, 3]
    assert [path.name for path in after.path.iterdir() if path.name.startswith(".")] == [after.scratch.name]
