"""Listed numbers in their order, for a sampler that takes all choices for words.

To Optuna `choice: [0.001, 0.002, 0.004]` is three names, of which none is closer to another: what was learned at 0.002
says nothing of 0.004. Here the sampler sees the places of the numbers, 0 to 2, and the study keeps the numbers.
"""

from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

Space = dict[str, BaseDistribution]


class OrderedChoices(BaseSampler):
    """Asks another sampler in a copy of the study, where listed numbers are whole numbers in a range.

    Args:
        sampler: knows ranges of whole numbers; keeps nothing in the study.
    """

    def __init__(self, sampler: BaseSampler) -> None:
        self._sampler = sampler

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> Space:
        """The other sampler's, in the study's own terms."""
        self._copy, self._copied = _copy(study, trial)
        self._space = self._sampler.infer_relative_search_space(self._copy, self._copied)
        own: Space = {}
        for known in study.get_trials(deepcopy=False):
            own.update(known.distributions)
        return {key: own[key] for key in self._space}

    def sample_relative(self, study: Study, trial: FrozenTrial, search_space: Space) -> dict[str, Any]:
        """Values of the keys that are sampled together."""
        found = self._sampler.sample_relative(self._copy, self._copied, self._space)
        return {key: _number(search_space[key], value) for key, value in found.items()}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The value of a key that is sampled by itself."""
        places = _places(param_distribution)
        return _number(
            param_distribution, self._sampler.sample_independent(self._copy, self._copied, param_name, places)
        )


def _copy(study: Study, trial: FrozenTrial) -> tuple[Study, FrozenTrial]:
    """The study with places for numbers, and in it the trial that is being sampled."""
    copy = optuna.create_study(directions=study.directions)
    copy.add_trials([_translated(known) for known in study.get_trials(deepcopy=False)])
    return copy, copy.get_trials(deepcopy=False)[trial.number]


def _translated(trial: FrozenTrial) -> FrozenTrial:
    known = trial.distributions
    return create_trial(
        # one that waits has no values yet, and would be given to the copy's next trial
        state=TrialState.RUNNING if trial.state == TrialState.WAITING else trial.state,
        values=trial.values,
        params={key: _place(known[key], value) for key, value in trial.params.items()},
        distributions={key: _places(distribution) for key, distribution in known.items()},
        intermediate_values=trial.intermediate_values if len(trial.values or [0]) == 1 else {},
    )


def _ordered(distribution: BaseDistribution) -> Sequence[Any] | None:
    """The numbers of a list in their order; None for ranges, words, and lists of one or two."""
    if not isinstance(distribution, CategoricalDistribution):
        return None
    numbers = [value for value in distribution.choices if isinstance(value, int | float) and value == value]
    if len(set(numbers)) < 3 or len(numbers) < len(distribution.choices) or any(isinstance(v, bool) for v in numbers):
        return None
    return sorted(set(numbers))


def _places(distribution: BaseDistribution) -> BaseDistribution:
    ordered = _ordered(distribution)
    return distribution if ordered is None else IntDistribution(0, len(ordered) - 1)


def _place(distribution: BaseDistribution, value: Any) -> Any:
    ordered = _ordered(distribution)
    return value if ordered is None else ordered.index(value)


def _number(distribution: BaseDistribution, place: Any) -> Any:
    ordered = _ordered(distribution)
    return place if ordered is None else ordered[place]
