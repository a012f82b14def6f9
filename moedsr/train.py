"""Training of one run; the same code on one worker and on many."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from moedsr.config import Config
from moedsr.errors import JobError
from moedsr.evaluation.calibration import Calibration
from moedsr.evaluation.evaluation import Evaluator
from moedsr.pictures.surface_files import write_surfaces
from moedsr.store.store import SurfaceStore
from moedsr.training import distributed
from moedsr.training.losses import LOSS_NAMES
from moedsr.training.routing import routing_metrics, routing_table
from moedsr.training.trainer import Trainer, evaluated_proteins


@dataclass(frozen=True, kw_only=True)
class TrainingReport:
    """What a run says of itself from time to time; every worker reports at the same steps, rank 0 with content."""

    step: int
    metrics: dict[str, float] = field(default_factory=dict)
    history: list[tuple[int, dict[str, float]]] = field(default_factory=list)  # every step since the last report
    checkpoint: Path | None = None  # complete; the receiver takes what it needs before it returns
    done: bool = False


def train(
    config: Config,
    store: Path,
    *,
    report: Callable[[TrainingReport], None],
    scratch: Path,
    resume_from: Path | None = None,
    device: str = "auto",
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Train one run to its last step, or until told to stop.

    Uses ``torch.distributed`` when it is initialised. A run resumed from a checkpoint continues as if it had not
    been interrupted, bit for bit on the same CPU and number of workers; a GPU adds up in any order.

    Args:
        config: the run.
        store: a surface store made with ``config.data.prepare``.
        report: called on every worker at the same steps.
        scratch: folder for checkpoints before they are reported.
        resume_from: a checkpoint of the same configuration.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        stop: asked at every report; when true on any worker, the run saves a checkpoint and ends.

    Raises:
        InputError: a store, split, batch size or checkpoint that does not fit.
        JobError: the loss is no longer a number.
    """
    trainer = Trainer(config, SurfaceStore.open(store, settings=config.data.prepare), device)
    if resume_from is not None:
        trainer.resume(resume_from)
    evaluator = Evaluator(trainer.store, evaluated_proteins(config, trainer.store), config)
    calibration = Calibration(trainer.store, trainer.proteins)
    schedule, history = config.training, _History()
    while trainer.step < schedule.steps:
        losses, load = trainer.take_step()
        history.add(trainer.step, losses, load)
        last = trainer.step == schedule.steps
        validate = last or trainer.step % schedule.validate_every == 0
        if not validate and trainer.step % schedule.report_every:
            continue
        steps = history.flush()
        metrics = steps[-1][1]
        stopping = any(distributed.gather(stop()))
        checkpoint = None
        if validate or stopping:
            checkpoint = _checkpoint(trainer, evaluator if validate else None, calibration, metrics, scratch)
            history.restart_clock()
        if distributed.rank() == 0:
            report(TrainingReport(step=trainer.step, metrics=metrics, history=steps, checkpoint=checkpoint, done=last))
        else:
            report(TrainingReport(step=trainer.step, done=last))
        if stopping:
            return


def _checkpoint(
    trainer: Trainer,
    evaluator: Evaluator | None,
    calibration: Calibration,
    metrics: dict[str, float],
    scratch: Path,
) -> Path | None:
    """Evaluate on all workers (when asked), save on the first; scores are added to ``metrics``."""
    extra: dict[str, str] = {}
    if evaluator is not None:
        evaluation = evaluator.evaluate(trainer.average, trainer.codes)
        metrics.update(evaluation.tracked())
        counts = trainer.average.parameter_counts()
        metrics.update(zip(("perf/parameters", "perf/active_parameters"), map(float, counts), strict=True))
        extra["evaluation.json"] = evaluation.to_json()
    if distributed.rank() != 0:
        return None
    if evaluator is not None:
        extra["routing.json"] = routing_table(trainer.average, trainer.store, trainer.proteins, step=trainer.step)
    # a checkpoint of a run that is being stopped is not the one that anybody scores
    numbers = None if evaluator is None else calibration.numbers()
    folder = trainer.save(scratch / f"checkpoint_{trainer.step:07d}", metrics, extra, numbers)
    if evaluator is not None:
        write_surfaces(folder / "surfaces", evaluator)
    return folder


class _History:
    """Loss terms and routing of every step since the last report, left on the device until then."""

    def __init__(self) -> None:
        self._steps: list[tuple[int, Tensor, Tensor]] = []
        self.restart_clock()

    def restart_clock(self) -> None:
        """Leave what happened since the last report out of the next one's speed."""
        self._started = time.monotonic()

    def add(self, step: int, losses: Tensor, load: Tensor) -> None:
        self._steps.append((step, losses, load))

    def flush(self) -> list[tuple[int, dict[str, float]]]:
        """The metrics of every step, over all workers; the last also carries routing and speed since the last flush.

        Raises:
            JobError: a loss that is not finite.
        """
        numbers, losses, loads = zip(*self._steps, strict=True)
        rows = distributed.mean(torch.stack(losses)).tolist()
        steps = [(step, dict(zip(LOSS_NAMES, row, strict=True))) for step, row in zip(numbers, rows, strict=True)]
        for (step, _), row in zip(steps, rows, strict=True):
            if not all(abs(value) < float("inf") for value in row):
                raise JobError(f"the loss is not a number at step {step}; try a smaller learning rate")
        elapsed = max(time.monotonic() - self._started, 1e-9)
        steps[-1][1].update(routing_metrics(distributed.mean(torch.stack(loads).sum(0))))
        steps[-1][1]["perf/steps_per_second"] = len(steps) / elapsed
        self._steps = []
        self.restart_clock()
        return steps
