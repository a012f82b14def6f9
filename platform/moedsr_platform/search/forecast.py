"""What TPE is told of trials that were not trained to the end: where they would be there, as others gained since."""

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial


def gains(curves: Sequence[Mapping[int, float]]) -> dict[int, float]:
    """By step: how much the best so far of a trial still rises from there to the end, by what others gained.

    From each step to the next it is the mean over the trials that were validated at both; they are added up.

    Args:
        curves: of each trial its score by step, more is better.
    """
    tops = [dict(zip(sorted(curve), _best_so_far(curve), strict=True)) for curve in curves]
    steps = sorted({step for top in tops for step in top})
    left, result = 0.0, dict.fromkeys(steps[-1:], 0.0)
    for step, later in reversed(list(itertools.pairwise(steps))):
        rises = [top[later] - top[step] for top in tops if step in top and later in top]
        left += sum(rises) / len(rises) if rises else 0.0
        result[step] = left
    return result


def _best_so_far(curve: Mapping[int, float]) -> list[float]:
    return list(itertools.accumulate((curve[step] for step in sorted(curve)), max))


class ForecastSampler(BaseSampler):
    """Another sampler, told of every validated point as if its training had ended.

    A trial that was stopped at a tenth of its steps is worse than its point is; beside complete ones it would say that
    its neighbourhood is bad. And what running trials have reached says more than that they run: only those that were
    never validated are left as running, for the sampler's constant liar. Learning curves are those of a point's first
    seed. The study itself keeps what was measured.

    Args:
        sampler: samples one point.
    """

    def __init__(self, sampler: BaseSampler) -> None:
        self._sampler = sampler
        self._asked: Trial | None = None

    def infer_relative_search_space(self, study: "Study", trial: "FrozenTrial") -> dict[str, "BaseDistribution"]:
        """None: the other sampler has a study of its own, and may sample keys together there."""
        return {}

    def sample_relative(
        self, study: "Study", trial: "FrozenTrial", search_space: dict[str, "BaseDistribution"]
    ) -> dict[str, Any]:
        """None."""
        return {}

    def sample_independent(
        self, study: "Study", trial: "FrozenTrial", param_name: str, param_distribution: "BaseDistribution"
    ) -> Any:
        """The next key of the point, in the order of the search."""
        if self._asked is None:
            self._asked = self._ask(study, trial)
        return _suggest(self._asked, param_name, param_distribution)

    def _ask(self, study: "Study", trial: "FrozenTrial") -> "Trial":
        others = [other for other in study.get_trials(deepcopy=False) if other.number != trial.number]
        told = optuna.create_study(direction=study.direction, sampler=self._sampler)
        told.add_trials(foretold(others, sign=1.0 if study.direction == StudyDirection.MAXIMIZE else -1.0))
        asked = told.ask()
        for name, distribution in trial.distributions.items():  # sampled by a process that was killed halfway
            if name not in trial.system_attrs.get("fixed_params", {}):
                _suggest(asked, name, distribution)
        return asked


def foretold(trials: Sequence["FrozenTrial"], *, sign: float) -> list["FrozenTrial"]:
    """Each trial that was validated, complete with the value it would have; others that run as they are."""
    alive = [trial for trial in trials if trial.state in (TrialState.COMPLETE, TrialState.RUNNING)]
    curves = [{step: sign * value for step, value in trial.intermediate_values.items()} for trial in alive]
    left = gains(curves)
    result = []
    for trial, curve in zip(alive, curves, strict=True):
        reached = sign * trial.value if trial.value is not None else max(curve.values(), default=None)
        if reached is None:
            value, state = None, TrialState.RUNNING
        else:
            value, state = sign * (reached + (left[max(curve)] if curve else 0.0)), TrialState.COMPLETE
        result.append(create_trial(state=state, value=value, params=trial.params, distributions=trial.distributions))
    return result


def _suggest(trial: "Trial", name: str, distribution: "BaseDistribution") -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(name, distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(name, distribution.low, distribution.high)
    return trial.suggest_float(name, distribution.low, distribution.high, log=distribution.log)
