"""Trials that differ in nothing but their seed, taken together: mean ± standard deviation."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

SEED = "training.seed"

Trial = TypeVar("Trial")


def by_point(trials: Sequence[Trial], params: Callable[[Trial], Mapping[str, Any]]) -> list[list[Trial]]:
    """The trials of each point, in the order in which they come."""
    groups: dict[str, list[Trial]] = {}
    for trial in trials:
        point = sorted((key, value) for key, value in params(trial).items() if key != SEED)
        groups.setdefault(repr(point), []).append(trial)
    return list(groups.values())


def mean_text(values: Sequence[float], digits: int = 4) -> str:
    """``0.6400 ± 0.0120``: mean and sample standard deviation; of one value, itself; of none, a dash."""
    if not values:
        return "-"
    mean = f"{statistics.fmean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.{digits}f}"
