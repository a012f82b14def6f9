"""The training loop of one trial, with its reports passed on.

No tracking here: the processes that train know neither MLflow nor Optuna, which keeps their start short.
"""

import gc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from moedsr.config import Config
from moedsr.training import distributed
from moedsr_platform.trial.folder import Request, Spoken, TrialFolder
from moedsr_platform.trial.system_metrics import SystemMetrics

TrainFunction = Callable[..., None]
"""The signature of ``moedsr.train.train``."""

Send = Callable[[dict[str, Any]], None]
"""Takes one report of a trial's first worker."""

STEP, HISTORY, CHECKPOINT, ENDED = "step", "history", "checkpoint", "ended"


def run_training(task: dict[str, Any], send: Send) -> None:
    """Train one trial, or go on with it from its last checkpoint.

    Args:
        task: ``config`` (JSON), ``store`` and ``folder`` (of the trial; paths), ``metric`` and ``mode`` (of the best
            checkpoint), ``threads`` (of torch), ``device``, ``train`` (None for ours).
        send: where reports go.
    """
    import torch

    torch.set_num_threads(task["threads"])
    train: TrainFunction = task["train"] or _our_train()
    folder = TrialFolder(Path(task["folder"]), metric=task["metric"], mode=task["mode"])
    if distributed.rank() == 0:
        folder.take()
    # the first worker decides where to go on: another node may not see its files yet
    resume_from = distributed.gather(folder.last)[0]
    reporter = _Reporter(folder, send)
    try:
        if resume_from is not None and reporter.repeat():
            return
        train(
            Config.model_validate_json(task["config"]),
            Path(task["store"]),
            report=reporter,
            resume_from=resume_from,
            device=task["device"],
            scratch=folder.scratch,
            stop=reporter.asked_to_stop,
        )
    finally:
        folder.release()
        gc.collect()
        torch.cuda.empty_cache()  # others may share the GPU; does nothing where none is used


def _our_train() -> TrainFunction:
    from moedsr.train import train

    return train


class _Reporter:
    """Keeps what a TrainingReport carries in the trial's folder, then sends it."""

    def __init__(self, folder: TrialFolder, send: Send) -> None:
        self._folder, self._send = folder, send
        self._system = SystemMetrics()
        self._request: Request | None = None

    def asked_to_stop(self) -> bool:
        """Whether the next report is the last one; the first worker answers for all."""
        self._request = self._folder.request if distributed.rank() == 0 else None
        return self._request is not None

    def __call__(self, report: Any) -> None:
        if distributed.rank() != 0:
            return
        said = Spoken(
            step=report.step,
            metrics={**report.metrics, **self._system.read()},
            history=list(report.history),
            done=report.done or self._request == "stop",
        )
        with self._folder.writing():
            self._folder.write_down(said)
            if report.checkpoint is not None:
                self._folder.keep(report.checkpoint, report.step)
        self._tell(said)

    def repeat(self) -> bool:
        """Say again what led to the last checkpoint: a sweep that was killed may not have heard or kept it.

        Returns:
            whether the training had ended with that checkpoint.
        """
        said = joined(list(self._folder.spoken()), self._folder.validated) if distributed.rank() == 0 else []
        for one in said:
            self._tell(one)
        return any(distributed.gather(bool(said) and said[-1].done))

    def _tell(self, said: Spoken) -> None:
        """Nobody starts a trial again whose end was heard, so nothing is left to be cleared away by then."""
        if said.done:
            self._folder.release()
        self._send(self._message(said))

    def _message(self, said: Spoken) -> dict[str, Any]:
        kept = self._folder.checkpoint(said.step)
        history = [[step, values] for step, values in said.history]
        return {
            STEP: said.step,
            **said.metrics,
            HISTORY: history,
            ENDED: said.done,
            **({CHECKPOINT: str(kept)} if kept else {}),
        }


def joined(reports: list[Spoken], validated: Callable[[dict[str, float]], bool]) -> list[Spoken]:
    """The same in fewer reports: there may be thousands without a validation, each is joined to the next one."""
    result, history = [], []
    for place, report in enumerate(reports, start=1):
        history += report.history
        if validated(report.metrics) or place == len(reports):
            result.append(replace(report, history=history))
            history = []
        else:
            history.append((report.step, report.metrics))
    return result
