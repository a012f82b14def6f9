"""The first points of a search, spread evenly: chance alone leaves some values out and repeats others."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial


class SpreadSampler(BaseSampler):
    """One point of a Latin hypercube: of each key every value, or every part of its range, is met equally often.

    A point depends on nothing but the seed, its number and the names of its keys, so it is the same in every session.

    Args:
        seed: of the search.
        number: of the point, counted from 0.
        parts: of a range; of so many points in a row each has another one.
    """

    def __init__(self, seed: int, number: int, parts: int) -> None:
        self._seed, self._number, self._parts = seed % 2**32, number, parts

    def infer_relative_search_space(self, study: "Study", trial: "FrozenTrial") -> dict[str, BaseDistribution]:
        """None: each key by itself."""
        return {}

    def sample_relative(
        self, study: "Study", trial: "FrozenTrial", search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """None."""
        return {}

    def sample_independent(
        self, study: "Study", trial: "FrozenTrial", param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The point's value of a key."""
        if isinstance(param_distribution, CategoricalDistribution):
            return param_distribution.choices[self._part(param_name, len(param_distribution.choices))]
        place = (self._part(param_name, self._parts) + self._rng(param_name, self._number, 1).random()) / self._parts
        assert isinstance(param_distribution, FloatDistribution | IntDistribution)
        low, high = param_distribution.low, param_distribution.high
        if isinstance(param_distribution, IntDistribution):
            return min(low + int(place * (high - low + 1)), high)
        if param_distribution.log:
            return min(max(math.exp(math.log(low) + place * (math.log(high) - math.log(low))), low), high)
        return min(low + place * (high - low), high)

    def _part(self, name: str, parts: int) -> int:
        """One of so many parts: all of them in turn, in an order that changes from turn to turn."""
        turn, place = divmod(self._number, parts)
        return int(self._rng(name, turn, 0).permutation(parts)[place])

    def _rng(self, name: str, number: int, use: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, use, number, *name.encode()])
