"""Early stopping: a rule decides, and the trial ends by itself at its next report.

Tune's own way to stop a trial is to kill its driver. The workers of the job inside hold a placement group
that outlives it (only a cluster with a dashboard cleans it up), so the next trial would wait for ever. A stop
file asks the workers instead; they save a checkpoint and end in order.

Nor does Tune save what a scheduler has seen. Here every validation is written down, and a resumed sweep's rule is
told of all of them again.
"""

import json
import math
from pathlib import Path
from typing import Any

from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, MedianStoppingRule, TrialScheduler

from moedsr_platform.sweep_file import SweepFile
from moedsr_platform.trial_folder import stop_trial
from moedsr_platform.worker import STEP

SEEN = "validations.jsonl"


class _Trial:
    """What a rule needs to know of a trial: who it is."""

    def __init__(self, trial_id: str) -> None:
        self.trial_id = trial_id


class EarlyStopping(FIFOScheduler):
    """Asks trials to end, as ASHA or median stopping decide; time is counted in optimiser steps.

    Args:
        sweep: with a ``scheduler``.
        folder: of the sweep's trials; validations are kept in it.
    """

    def __init__(self, sweep: SweepFile, folder: Path) -> None:
        super().__init__()
        self._sweep, self._folder = sweep, folder
        self._metric = sweep.objective.metric
        self._rule = make_rule(sweep)
        self._trials: dict[str, _Trial] = {}
        self._seen: set[tuple[str, int]] = set()
        self.stopped: set[str] = set()
        self._repeat()

    def __reduce__(self) -> tuple[Any, ...]:
        """Tune pickles the scheduler when the sweep begins: a copy reads what was written down since."""
        return EarlyStopping, (self._sweep, self._folder)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Continues always; a trial that the rule stops is asked to end."""
        value = result.get(self._metric)
        if isinstance(value, int | float) and math.isfinite(value):
            self._take(trial.trial_id, int(result[STEP]), float(value))
        return TrialScheduler.CONTINUE

    def _take(self, trial_id: str, step: int, value: float) -> None:
        if (trial_id, step) in self._seen:  # a trial that goes on says again what it had said last
            return
        with (self._folder / SEEN).open("a", encoding="utf-8") as file:
            file.write(json.dumps([trial_id, step, value]) + "\n")
        self._tell(trial_id, step, value)
        if trial_id in self.stopped:
            stop_trial(self._folder / trial_id)

    def _tell(self, trial_id: str, step: int, value: float) -> None:
        self._seen.add((trial_id, step))
        if trial_id in self.stopped:
            return
        if trial_id not in self._trials:
            self._trials[trial_id] = _Trial(trial_id)
            self._rule.on_trial_add(None, self._trials[trial_id])
        known = {STEP: step, self._metric: value}
        if self._rule.on_trial_result(None, self._trials[trial_id], known) == TrialScheduler.STOP:
            self.stopped.add(trial_id)

    def _repeat(self) -> None:
        path = self._folder / SEEN
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        whole = text[: text.rfind("\n") + 1]  # without half a line of a process that was killed while it wrote
        if whole != text:
            path.write_text(whole, encoding="utf-8")
        for line in whole.splitlines():
            self._tell(*json.loads(line))
        for trial_id in self.stopped:
            stop_trial(self._folder / trial_id)


def make_rule(sweep: SweepFile) -> TrialScheduler:
    """Ray's rule that a sweep names."""
    assert sweep.scheduler is not None
    common = {"time_attr": STEP, "metric": sweep.objective.metric, "mode": sweep.objective.mode}
    asha, median = sweep.scheduler.asha, sweep.scheduler.median
    if asha is not None:
        return AsyncHyperBandScheduler(
            **common,
            max_t=sweep.base.training.steps,
            grace_period=asha.grace_steps,
            reduction_factor=asha.reduction_factor,
            stop_last_trials=False,  # the last step ends a trial by itself
        )
    assert median is not None
    return MedianStoppingRule(
        **common,
        grace_period=median.grace_steps,
        min_samples_required=median.min_trials,
        min_time_slice=math.inf,  # never pauses a trial
    )
