"""The loop of one worker: what it reports again when it resumes, and where it ends when it is asked to."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from moedsr.errors import JobError
from moedsr_platform.sweep_file.schema import Resources
from moedsr_platform.trial.control import Failure, TrialControl
from moedsr_platform.trial.loop import Run, SupersededError, Task, TuneRun, run_worker
from moedsr_platform.trial.storage import TrialStorage
from moedsr_platform.trial.trial import backend_of, uses_ray_train


@dataclass(frozen=True)
class Made:
    step: int
    metrics: dict[str, float]
    checkpoint: Path
    done: bool
    history: list[tuple[int, dict[str, float]]] = field(default_factory=list)


def train(*arguments: Any, report: Any, resume_from: Path | None, scratch: Path, stop: Any, **more: Any) -> None:
    """Reports at 5, 10, ... 40, with a score at every second, best at 20; ends where it is asked to."""
    first = json.loads((resume_from / "meta.json").read_text())["step"] + 5 if resume_from else 5
    for step in range(first, 41, 5):
        stopping = stop()
        metrics = {} if step % 10 else {"val/iou": 0.9 - abs(step - 20) / 100}
        folder = scratch / f"step-{step}"
        folder.mkdir()
        (folder / "meta.json").write_text(json.dumps({"step": step, "metrics": metrics}))
        report(Made(step, metrics, folder, step == 40))
        if stopping:
            return


@dataclass(frozen=True, kw_only=True)
class LocalTask(Task):
    """Its control is no actor."""

    def ask(self, method: str, *arguments: Any) -> Any:
        return getattr(self.control, method)(self.trial_id, *arguments)


class KilledError(BaseException):
    pass


class FakeTune(TuneRun):
    """Tune's own process, which hears reports, and may be killed while it does."""

    def __init__(self, storage: TrialStorage, hear: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(storage)
        monkeypatch.setattr("ray.tune.report", hear)


class Trial:
    """One trial in a folder, trained by as many processes as it takes."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, function: Any = train) -> None:
        self.storage = TrialStorage(str(folder), "t")
        self.control = TrialControl()
        self._patch, self._function = monkeypatch, function

    def steps(self, *, stop_at: int | None = None, killed_at: int | None = None, attempt: str = "a") -> list[int]:
        """Steps of the reports that are heard of one that is asked to end, or killed, at one of them."""
        heard: list[int] = []

        def hear(result: dict[str, Any]) -> None:
            if result["step"] == killed_at:
                raise KilledError
            if "started" not in result:
                heard.append(result["step"])
            if result["step"] == stop_at:
                self.control.ask("t", "stop")

        self.control.begin("t", attempt)
        run_worker(self.task(attempt), FakeTune(self.storage, hear, self._patch))
        return heard

    def task(self, attempt: str = "a") -> Task:
        return LocalTask(
            config='{"data": {"source": "mini-atlas"}}',
            store="none",
            storage=self.storage,
            metric="val/iou",
            mode="max",
            threads=1,
            control=self.control,
            attempt=attempt,
            train=self._function,
        )

    @property
    def kept(self) -> list[int]:
        return list(self.storage.checkpoints())


def test_one_that_is_asked_to_end_saves_itself_at_its_next_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = Trial(tmp_path, monkeypatch)
    assert trial.steps(stop_at=20) == [5, 10, 15, 20, 25]
    assert trial.steps() == [10, 20, 25]  # all that led there, in fewer reports


def test_the_best_and_the_last_checkpoint_are_kept_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = Trial(tmp_path, monkeypatch)
    assert trial.steps() == [5, 10, 15, 20, 25, 30, 35, 40]
    assert trial.kept == [20, 40]
    assert sorted(path.name for path in (tmp_path / "t").iterdir()) == ["checkpoint_0000020", "checkpoint_0000040"]


def test_what_a_killed_driver_did_not_hear_is_reported_again_before_it_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Step 20 had been validated and kept, and early stopping would have ended the trial for it."""
    trial = Trial(tmp_path, monkeypatch)
    with pytest.raises(KilledError):
        trial.steps(killed_at=20)
    assert trial.steps(stop_at=20) == [10, 20, 25]


def test_a_trial_that_is_paused_resumes_when_it_begins_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trial = Trial(tmp_path, monkeypatch)
    trial.control.ask("t", "pause")
    trial.control._attempts["t"] = "a"
    run_worker(trial.task(), FakeTune(trial.storage, lambda result: None, monkeypatch))
    assert trial.kept == [5]
    assert trial.steps() == [5, 10, 15, 20, 25, 30, 35, 40]


def test_a_process_that_was_thought_lost_ends_when_another_one_has_its_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = Trial(tmp_path, monkeypatch)
    trial.control.begin("t", "new")
    with pytest.raises(SupersededError):
        run_worker(trial.task("old"), FakeTune(trial.storage, lambda result: None, monkeypatch))
    assert trial.kept == []


def test_a_failure_of_its_own_is_told_once_and_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = []

    def diverge(*arguments: Any, **more: Any) -> None:
        begun.append(1)
        raise JobError("the loss is not a number")

    trial = Trial(tmp_path, monkeypatch, diverge)
    assert trial.steps() == []
    assert trial.control.failure("t") == Failure("the loss is not a number")
    assert trial.steps() == []
    assert len(begun) == 1


def test_what_raises_keeps_its_traceback_and_its_process_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def raise_it(*arguments: Any, **more: Any) -> None:
        raise ValueError("unlucky")

    trial = Trial(tmp_path, monkeypatch, raise_it)
    with pytest.raises(ValueError, match="unlucky"):
        trial.steps()
    failure = trial.control.failure("t")
    assert failure is not None
    assert failure.reason == "ValueError: unlucky"
    assert "raise_it" in failure.traceback


def test_a_request_to_stop_is_not_taken_back_by_one_to_pause() -> None:
    control = TrialControl()
    control.ask("t", "stop")
    control.ask("t", "pause")
    control.begin("t", "a")
    assert control.request("t", "a") == "stop"


@pytest.mark.parametrize(
    ("share", "available", "backend"), [(0, True, "gloo"), (0.5, True, "gloo"), (1, True, "nccl"), (1, False, "gloo")]
)
def test_workers_that_may_share_a_gpu_do_without_nccl(
    share: float, available: bool, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.distributed.is_nccl_available", lambda: available)
    assert backend_of(Resources.model_validate({"workers": 2, "gpus_per_worker": share})) == backend


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, False),
        ({"workers": 2}, True),
        ({"gpus_per_worker": 0.5}, True),
        ({"workers": {"min": 1, "max": 2}}, True),
        ({"cpus_per_worker": 8}, False),
    ],
)
def test_a_trial_with_a_gpu_or_several_workers_is_a_ray_train_run(resources: dict[str, Any], expected: bool) -> None:
    assert uses_ray_train(Resources.model_validate(resources)) is expected


def test_a_run_is_either_kind() -> None:
    with pytest.raises(TypeError):
        Run()  # type: ignore[abstract]
