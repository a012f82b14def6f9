"""Early stopping: a rule decides, and the trial ends by itself at its next report.

Tune's own way to stop a trial ends its process, and what it learned since its last checkpoint is lost. The trial is
asked instead; it saves a checkpoint and ends in order.

Nor does Tune save what a scheduler has seen. A resumed sweep tells a new one again, from its log (sweep/log.py).
"""

import math
from collections.abc import Callable
from typing import Any

from ray.tune.schedulers import FIFOScheduler, MedianStoppingRule, TrialScheduler

from moedsr_platform.search.asha import Halving
from moedsr_platform.sweep_file.schema import Median, SweepFile
from moedsr_platform.trial.report import FAILURE, STEP


class EarlyStopping(FIFOScheduler):
    """Asks trials to end, as ASHA or median stopping decide; time is counted in optimiser steps.

    With several seeds the rule hears of a point's first trial alone, and its other seeds end where that one was
    stopped: seeds of one point do not compete with each other, and their mean is of trainings of one length.

    Args:
        sweep: with a ``scheduler``.
        stop: asks the trial of this id to end at its next report.
    """

    def __init__(self, sweep: SweepFile, stop: Callable[[str], None]) -> None:
        super().__init__()
        self._sweep, self._stop = sweep, stop
        self._metric = sweep.objective.metric
        assert sweep.scheduler is not None
        asha, median = sweep.scheduler.asha, sweep.scheduler.median
        self._rule: Halving | MedianRule
        if asha is not None:
            self._rule = Halving(asha.rungs(sweep.base.training.steps), asha.reduction_factor)
        else:
            assert median is not None
            self._rule = MedianRule(median)
        self._seen: set[tuple[str, int]] = set()
        self._points: list[list[str]] = []  # ids of the trials of each point, in the order in which they were given
        self._failed: set[str] = set()
        self._reached: dict[str, int] = {}  # last validated step
        self._best: dict[str, float] = {}  # score so far, more is better
        self._ends: dict[str, int] = {}  # of a stopped trial: the step at which the rule stopped it
        self.stopped: set[str] = set()

    def __reduce__(self) -> tuple[Any, ...]:
        """Tune pickles the scheduler when the sweep begins, and nobody reads that."""
        return EarlyStopping, (self._sweep, print)

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """The searcher gives all seeds of a point before the next point; one that lost its process is given again."""
        self._failed.discard(trial.trial_id)
        if any(trial.trial_id in point for point in self._points):
            return  # a resumed sweep has told it already
        if not self._points or len(self._points[-1]) == self._sweep.seeds:
            self._points.append([])
        self._points[-1].append(trial.trial_id)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Continues always; a trial that the rule stops is asked to end."""
        value = result.get(self._metric)
        if isinstance(value, int | float) and math.isfinite(value):
            self._take(trial.trial_id, int(result[STEP]), float(value))
        return TrialScheduler.CONTINUE

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Where the first trial of a point fails, the next one stands for it."""
        if FAILURE in result:
            self._failed.add(trial.trial_id)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """As a failure, unless the trial is given again at once."""
        self._failed.add(trial.trial_id)

    def _take(self, trial_id: str, step: int, value: float) -> None:
        if (trial_id, step) in self._seen:  # a trial that goes on says again what it had said last
            return
        self._seen.add((trial_id, step))
        point = next((point for point in self._points if trial_id in point), [trial_id])
        first = next((trial for trial in point if trial not in self._failed), trial_id)
        self._reached[trial_id] = max(step, self._reached.get(trial_id, 0))
        score = self._sweep.objective.sign * value
        best = self._best[trial_id] = max(score, self._best.get(trial_id, -math.inf))
        judged = best if isinstance(self._rule, Halving) else score  # Ray's rule sees to that itself
        if trial_id == first and trial_id not in self.stopped and self._rule.behind(trial_id, step, judged):
            self._ends[trial_id] = step
        if first in self._ends:
            for trial in point:
                if trial not in self._failed and self._reached.get(trial, 0) >= self._ends[first]:
                    self.stopped.add(trial)
                    self._stop(trial)


class _Trial:
    """What Ray's rule needs to know of a trial: who it is."""

    def __init__(self, trial_id: str) -> None:
        self.trial_id = trial_id


class MedianRule:
    """Ray's median stopping."""

    def __init__(self, median: Median) -> None:
        self._rule = MedianStoppingRule(
            time_attr=STEP,
            metric="score",
            mode="max",
            grace_period=median.grace_steps,
            min_samples_required=median.min_trials,
            min_time_slice=math.inf,  # never pauses a trial
        )
        self._trials: dict[str, _Trial] = {}

    def behind(self, trial_id: str, step: int, value: float) -> bool:
        """Whether a trial has to stop; more ``value`` is better."""
        if trial_id not in self._trials:
            self._trials[trial_id] = _Trial(trial_id)
            self._rule.on_trial_add(None, self._trials[trial_id])
        known = {STEP: step, "score": value}
        return self._rule.on_trial_result(None, self._trials[trial_id], known) == TrialScheduler.STOP
