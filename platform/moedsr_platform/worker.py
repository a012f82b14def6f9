"""What runs on every Ray Train worker: the training loop, with its reports passed on to Ray.

No tracking here: workers know neither MLflow nor Optuna, which keeps their start short.
"""

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from moedsr.config import Config
from moedsr_platform.system_metrics import SystemMetrics

TrainFunction = Callable[..., None]
"""The signature of ``moedsr.training.train``."""

STEP, HISTORY = "step", "history"


def training_worker(task: dict[str, Any]) -> None:
    """One worker of one trial.

    Args:
        task: ``config`` (JSON), ``store`` (path), ``threads`` (of torch), ``device``, ``stop_file`` (path)
            and ``train`` (None for ours).
    """
    import torch

    torch.set_num_threads(task["threads"])
    train: TrainFunction = task["train"] or _our_train()
    config = Config.model_validate_json(task["config"])
    with _last_checkpoint() as resume_from, tempfile.TemporaryDirectory(prefix="moedsr-") as scratch:
        if resume_from is not None:
            _repeat_last_report(resume_from)
        train(
            config,
            Path(task["store"]),
            report=_Reporter(),
            resume_from=resume_from,
            device=task["device"],
            scratch=Path(scratch),
            stop=Path(task["stop_file"]).exists,
        )


def _our_train() -> TrainFunction:
    from moedsr.training import train

    return train


class _Reporter:
    """Passes a TrainingReport on to Ray Train, which copies the checkpoint before it returns."""

    def __init__(self) -> None:
        self._system = SystemMetrics()

    def __call__(self, report: Any) -> None:
        import ray.train

        metrics: dict[str, Any] = {STEP: report.step, **report.metrics, **self._system.read()}
        metrics[HISTORY] = [[step, values] for step, values in report.history]
        checkpoint = None
        if report.checkpoint is not None:
            checkpoint = ray.train.Checkpoint.from_directory(str(report.checkpoint))
        ray.train.report(metrics, checkpoint=checkpoint)


@contextlib.contextmanager
def _last_checkpoint() -> Iterator[Path | None]:
    """The checkpoint that this trial left before it was interrupted, as a local folder."""
    import ray.train

    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        yield None
        return
    with checkpoint.as_directory() as folder:
        yield Path(folder)


def _repeat_last_report(checkpoint: Path) -> None:
    """Says again what the checkpoint was worth: a driver that was killed may not have saved it."""
    import ray.train

    meta = json.loads((checkpoint / "meta.json").read_text(encoding="utf-8"))
    ray.train.report({STEP: meta["step"], **meta["metrics"], HISTORY: []})
