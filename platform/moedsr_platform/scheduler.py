"""Early stopping: ASHA decides, and the trial ends by itself at its next report.

Tune's own way to stop a trial is to kill its driver. The workers of the job inside hold a placement group
that outlives it (only a cluster with a dashboard cleans it up), so the next trial would wait for ever. A stop
file asks the workers instead; they save a checkpoint and end in order.
"""

from pathlib import Path
from typing import Any

from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

from moedsr_platform.sweep_file import SweepFile
from moedsr_platform.trial_folder import stop_trial
from moedsr_platform.worker import STEP


class Asha(AsyncHyperBandScheduler):
    """Asynchronous successive halving over optimiser steps that asks instead of killing."""

    def __init__(self, sweep: SweepFile, folder: Path) -> None:
        assert sweep.scheduler is not None
        super().__init__(
            time_attr=STEP,
            metric=sweep.objective.metric,
            mode=sweep.objective.mode,
            max_t=sweep.base.training.steps,
            grace_period=sweep.scheduler.asha.grace_steps,
            reduction_factor=sweep.scheduler.asha.reduction_factor,
            stop_last_trials=False,  # the last step ends a trial by itself
        )
        self._folder = folder

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Continues always; a trial that ASHA stops is asked to end."""
        if super().on_trial_result(tune_controller, trial, result) == TrialScheduler.STOP:
            stop_trial(self._folder / trial.trial_id)
        return TrialScheduler.CONTINUE
