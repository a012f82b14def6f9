"""The training loop of one worker, the same in Tune's own process and in each worker of a Ray Train run.

No tracking here: the processes that train know neither MLflow nor Optuna, which keeps their start short.
"""

import contextlib
import gc
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moedsr.config import Config
from moedsr.errors import InputError, JobError
from moedsr.training import distributed
from moedsr_platform.trial.control import Failure, Request
from moedsr_platform.trial.failure_reason import last_line, may_follow_from_a_loss, named
from moedsr_platform.trial.full_disk import FULL, is_full
from moedsr_platform.trial.report import (
    STARTED,
    STEP,
    Report,
    is_validated,
    joined,
    read_reports,
    write_reports,
)
from moedsr_platform.trial.storage import PREFIX, TrialStorage
from moedsr_platform.trial.system_metrics import SystemMetrics

TrainFunction = Callable[..., None]
"""The signature of ``moedsr.train.train``."""

BEST = "best_step"
"""Key of a checkpoint's score: its step if none before was better, else -1; Ray Train keeps the highest."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a worker needs to know.

    Attributes:
        config: of the trial, as JSON.
        store: its surface store.
        storage: of its checkpoints.
        metric, mode: of the best checkpoint.
        threads: of torch.
        control: handle of the ``TrialControl`` actor.
        attempt: names the process that Tune started for the trial; the one before it may still be alive somewhere.
        train: the training function; None for ``moedsr.train.train``.
    """

    config: str
    store: str
    storage: TrialStorage
    metric: str
    mode: str
    threads: int
    control: Any
    attempt: str
    train: TrainFunction | None

    @property
    def trial_id(self) -> str:
        return self.storage.trial_id

    def ask(self, method: str, *arguments: Any) -> Any:
        """Calls the control actor and waits for its answer."""
        import ray

        return ray.get(getattr(self.control, method).remote(self.trial_id, *arguments))


class SupersededError(Exception):
    """Another process trains this trial by now, as when this machine was thought lost."""


class Run(ABC):
    """What a worker reports to: a Ray Train run, or Tune itself."""

    device = "auto"

    @abstractmethod
    def checkpoint(self) -> str | None:
        """Path in the trial's storage of the checkpoint to resume from."""

    @abstractmethod
    def report(self, result: dict[str, Any], step: int, folder: Path | None = None, best: int | None = None) -> None:
        """Send a result; every worker calls this as often as the others, and what rank 0 gives counts.

        Args:
            result: for Tune.
            step: of the report.
            folder: a checkpoint, moved to the trial's storage first.
            best: step of the best checkpoint so far; all but this and the last one go.
        """


class TuneRun(Run):
    """A trial of one worker on a CPU: Tune's own process trains."""

    def __init__(self, storage: TrialStorage) -> None:
        self._storage = storage
        self.device = "cpu"

    def checkpoint(self) -> str | None:
        return next(reversed(self._storage.checkpoints().values()), None)

    def report(self, result: dict[str, Any], step: int, folder: Path | None = None, best: int | None = None) -> None:
        from ray import tune

        if folder is not None:
            self._storage.keep(folder, step)
            for other, place in self._storage.checkpoints().items():
                if other not in (step, best):
                    self._storage.remove(place)
        tune.report(result)


class TrainRun(Run):
    """A worker of a Ray Train run, which keeps the best and the last checkpoint."""

    def __init__(self, storage: TrialStorage) -> None:
        from ray.train.torch import get_device

        self._storage = storage
        self.device = str(get_device())

    def checkpoint(self) -> str | None:
        from ray import train

        found = train.get_checkpoint()
        # Ray Train does not know of one that the trial made before without it
        return found.path if found is not None else TuneRun(self._storage).checkpoint()

    def report(self, result: dict[str, Any], step: int, folder: Path | None = None, best: int | None = None) -> None:
        from ray import train

        train.report(
            {**result, BEST: step if step == best else -1},
            checkpoint=train.Checkpoint(str(folder)) if folder is not None else None,
            checkpoint_dir_name=f"{PREFIX}{step:07d}",
            checkpoint_upload_fn=lambda checkpoint, name: train.Checkpoint(
                self._storage.keep(Path(checkpoint.path), step), train.get_context().get_storage().storage_filesystem
            ),
        )


def run_worker(task: Task, run: Run) -> None:
    """Train, or resume from the last checkpoint. A failure of the trial's own is told to the control actor.

    Raises:
        Exception: other workers wait for this one and must not; or the loss of one of them led to it; or it may have
            left the process in a bad state (a GPU that refuses all further work, memory that is not given back).
    """
    if task.ask("failure") is not None:
        return  # in an earlier process
    try:
        _train(task, run)
    except SupersededError:
        raise
    except Exception as error:
        alone = distributed.world_size() == 1
        if not alone and may_follow_from_a_loss(error):
            raise
        unsaved = is_full(error, Path(task.storage.url))
        own = isinstance(error, InputError | JobError)
        where = "" if own or unsaved else traceback.format_exc()
        who = f"worker {distributed.rank()}: " if distributed.rank() else ""
        reason = FULL if unsaved else last_line(str(error)) if own else named(error)
        task.ask("fail", Failure(f"{who}{reason}", where, unsaved))
        if not (alone and (own or unsaved)):
            raise
    finally:
        _free()


def _train(task: Task, run: Run) -> None:
    import torch

    torch.set_num_threads(task.threads)
    train: TrainFunction = task.train or _our_train()
    first = distributed.rank() == 0
    with task.storage.scratch() if first else contextlib.nullcontext(Path()) as scratch:
        # the first worker decides where to resume: the others may not see its files yet
        place = distributed.gather(run.checkpoint() if first else None)[0]
        with task.storage.opened(place) if place is not None else contextlib.nullcontext() as resume_from:
            reporter = _Reporter(task, run, scratch, read_reports(resume_from) if resume_from and first else [])
            if reporter.repeat():
                return
            train(
                Config.model_validate_json(task.config),
                Path(task.store),
                report=reporter,
                resume_from=resume_from,
                device=run.device,
                scratch=scratch,
                stop=reporter.asked_to_stop,
            )


def _our_train() -> TrainFunction:
    from moedsr.train import train

    return train


def _free() -> None:
    """Others may share the GPU; does nothing where none is used."""
    import torch

    gc.collect()
    torch.cuda.empty_cache()


class _Reporter:
    """Passes on what a TrainingReport carries."""

    def __init__(self, task: Task, run: Run, scratch: Path, reports: list[Report]) -> None:
        self._task, self._run, self._scratch, self._reports = task, run, scratch, reports
        self._system = SystemMetrics()
        self._request: Request | None = None
        self._best: tuple[float, int] | None = None
        for report in reports:
            self._note_best(report)

    def asked_to_stop(self) -> bool:
        """Whether the next report is the last one; the first worker answers for all."""
        if distributed.rank() == 0:
            self._request = self._task.ask("request", self._task.attempt)
        return self._request is not None

    def __call__(self, made: Any) -> None:
        """Every worker calls it at the same steps; only the first one's says anything."""
        if distributed.rank() != 0:
            self._run.report({}, made.step)
            return
        if self._request == "superseded":
            raise SupersededError
        report = Report(
            step=made.step,
            metrics={**made.metrics, **self._system.read()},
            history=list(made.history),
            done=made.done or self._request == "stop",
        )
        self._reports.append(report)
        self._note_best(report)
        address = None
        if made.checkpoint is not None:
            write_reports(made.checkpoint, self._reports)
            address = self._task.storage.checkpoint_url(report.step)
        best = self._best[1] if self._best is not None else None
        self._run.report(report.result(address), report.step, made.checkpoint, best)

    def repeat(self) -> bool:
        """Make the reports again that led to the last checkpoint: a killed sweep may not have heard or kept them.

        Returns:
            whether the training had ended with that checkpoint.
        """
        again = joined(self._reports, self._task.metric)
        kept = self._task.storage.checkpoints() if again else {}
        results = [
            report.result(self._task.storage.checkpoint_url(report.step) if report.step in kept else None)
            for report in again
        ]
        results, done = distributed.gather(([{STARTED: True, STEP: 0}, *results], any(r.done for r in again[-1:])))[0]
        for result in results:
            self._run.report(result, result[STEP])
        return done

    def _note_best(self, report: Report) -> None:
        """Among equals the first is the best, as in the table."""
        if is_validated(report.metrics, self._task.metric):
            value = report.metrics[self._task.metric] * (1.0 if self._task.mode == "max" else -1.0)
            if self._best is None or value > self._best[0]:
                self._best = (value, report.step)
