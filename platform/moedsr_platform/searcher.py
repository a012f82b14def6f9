"""Optuna behind Tune: which point comes next, and what the sampler learns from a trial."""

from typing import TYPE_CHECKING, Any

import optuna
from ray.tune.search.optuna import OptunaSearch

from moedsr_platform.search_space import grid_points
from moedsr_platform.sweep_file import SweepFile
from moedsr_platform.trial import FAILURE

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

SEED = "training.seed"


class SweepSearch(OptunaSearch):
    """OptunaSearch that repeats each point with several seeds, and learns from a trial's best validation.

    Most reports carry no validation: those are passed over. With several seeds a point is worth the mean of
    its trials, and the sampler hears of it when the last one has ended. A trial that the scheduler stopped
    counts with the value it had.
    """

    def __init__(self, sweep: SweepFile) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        objective = sweep.objective
        super().__init__(
            space={key: domain.distribution() for key, domain in sweep.search.items()} or _nothing,
            metric=objective.metric,
            mode=objective.mode,
            sampler=_sampler(sweep),
            points_to_evaluate=grid_points(sweep.search)[: sweep.points] if sweep.sampler == "grid" else None,
        )
        self._seeds = sweep.seeds
        self._first_seed = sweep.base.training.seed
        self._sign = 1.0 if objective.mode == "max" else -1.0
        self._groups: list[list[str]] = []  # trial ids of each point
        self._values: dict[str, float] = {}  # best value of each trial so far
        self._ended: set[str] = set()

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """The next point, or the last one again with the next seed."""
        if not self._groups or len(self._groups[-1]) == self._seeds:
            self._groups.append([])
        group = self._groups[-1]
        group.append(trial_id)
        params = dict(super().suggest(group[0]) or {})
        if self._seeds > 1:
            params[SEED] = self._first_seed + len(group) - 1
        return params

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Keeps the best validation."""
        value = result.get(self.metric)
        if value is None:
            return
        best = self._values.get(trial_id, value)
        self._values[trial_id] = max(value, best, key=lambda x: self._sign * x)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tells Optuna the value of a point once all of its trials have ended."""
        if result is not None:
            self.on_trial_result(trial_id, result)
            error = error or FAILURE in result
        if error:
            self._values.pop(trial_id, None)
        self._ended.add(trial_id)
        group = next(group for group in self._groups if trial_id in group)
        if len(group) < self._seeds or not self._ended.issuperset(group):
            return
        values = [self._values[member] for member in group if member in self._values]
        mean = {self.metric: sum(values) / len(values)} if values else None
        super().on_trial_complete(group[0], mean, error=not values)


def _nothing(trial: object) -> None:
    """The space of a sweep that searches nothing: one point, perhaps with several seeds."""


def _sampler(sweep: SweepFile) -> "BaseSampler":
    from optuna.samplers import RandomSampler, TPESampler

    if sweep.sampler == "tpe":
        # a third of the points at random first; parallel trials spread out
        start = max(3, sweep.points // 3)
        return TPESampler(seed=sweep.sampler_seed, n_startup_trials=start, constant_liar=True, multivariate=True)
    return RandomSampler(seed=sweep.sampler_seed)
