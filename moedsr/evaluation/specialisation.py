"""Do the experts serve different kinds of proteins? Association with what is known of them, tested by permutation.

The null hypothesis is that an expert's proteins are a random draw: its p-value is the share of random
reassignments, each expert keeping its number of proteins, that fit at least as well.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import factorial, prod
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

PERMUTATIONS = 4_999
Statistic = Callable[[NDArray[np.int64]], float]
"""Of the expert of each protein; larger is more specialised."""


@dataclass(frozen=True, kw_only=True)
class Association:
    """How far one property follows the choice of expert."""

    property: str
    measure: str  # what ``value`` is
    value: float
    expected: float  # mean over random reassignments
    p_value: float
    adjusted: float  # Holm's, over all properties tested together
    proteins: int  # with a known value
    least: float  # the smallest p-value that so few proteins could have: one over the number of reassignments


def associations(
    experts: Sequence[int],
    *,
    numbers: Mapping[str, Sequence[float]] = MappingProxyType({}),
    classes: Mapping[str, Sequence[str]] = MappingProxyType({}),
    similarities: Mapping[str, NDArray[np.float64]] = MappingProxyType({}),
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> list[Association]:
    """Every property that can be tested: known of two proteins with two experts, and not the same for all.

    Args:
        experts: (n,) the expert chosen first by each protein.
        numbers: of each protein, NaN where unknown; measured by the share of variance between experts.
        classes: of each protein, "" where unknown; measured by mutual information with the expert.
        similarities: (n, n) symmetric; measured by the mean within experts less that between them.
        permutations: random reassignments.
        seed: of them; the same for every property.
    """
    chosen = np.asarray(experts, dtype=np.int64)
    cases: list[tuple[str, str, NDArray[np.bool_], Statistic]] = []
    for name, values in numbers.items():
        number = np.asarray(values, dtype=np.float64)
        known = np.isfinite(number)
        cases.append((name, "variance explained", known, _explained(number[known])))
    for name, labels in classes.items():
        label = np.asarray(labels, dtype=str)
        cases.append((name, "mutual information, nats", label != "", _information(label[label != ""])))
    everyone = np.ones(len(chosen), dtype=bool)
    for name, matrix in similarities.items():
        cases.append((name, "within less between experts", everyone, _closeness(matrix)))
    found: list[Association] = []
    for name, measure, known, statistic in cases:
        own = chosen[known]
        if len(set(own.tolist())) < 2 or len(own) <= len(set(own.tolist())):
            continue
        value, drawn = _test(own, statistic, permutations, seed)
        if not np.isfinite(value) or np.ptp(drawn) == 0:
            continue
        # as often as not two equal sums differ in their last digit
        p_value = (1 + int((drawn >= value - 1e-12).sum())) / (1 + permutations)
        found.append(
            Association(
                property=name,
                measure=measure,
                value=value,
                expected=float(drawn.mean()),
                p_value=p_value,
                adjusted=p_value,
                proteins=len(own),
                least=_least(own, permutations),
            )
        )
    return holm(found)


def _least(experts: NDArray[np.int64], permutations: int) -> float:
    """A p-value is at least this, whatever the property: few proteins can be reassigned in few ways only."""
    counts = np.bincount(experts)
    ways = factorial(len(experts)) // prod(factorial(count) for count in counts.tolist())
    return 1 / min(ways, 1 + permutations)


def _test(
    experts: NDArray[np.int64], statistic: Statistic, permutations: int, seed: int
) -> tuple[float, NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    drawn = np.array([statistic(rng.permutation(experts)) for _ in range(permutations)])
    return statistic(experts), drawn


def _explained(values: NDArray[np.float64]) -> Statistic:
    """η²: the part of the variance that lies between experts, 0 to 1."""
    mean = values.mean() if len(values) else 0.0
    total = float(((values - mean) ** 2).sum())

    def statistic(experts: NDArray[np.int64]) -> float:
        counts = np.bincount(experts)
        sums = np.bincount(experts, values)
        means = sums / np.maximum(counts, 1)
        return float((counts * (means - mean) ** 2).sum() / total) if total else np.nan

    return statistic


def _information(labels: NDArray[np.str_]) -> Statistic:
    """Mutual information of class and expert."""
    codes = np.unique(labels, return_inverse=True)[1].reshape(-1)

    def statistic(experts: NDArray[np.int64]) -> float:
        joint = np.zeros((experts.max() + 1, codes.max() + 1))
        np.add.at(joint, (experts, codes), 1 / len(codes))
        apart = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
        some = joint > 0
        return float((joint[some] * np.log(joint[some] / apart[some])).sum())

    return statistic


def _closeness(similarity: NDArray[np.float64]) -> Statistic:
    """Mean similarity of two proteins of one expert, less that of two of different ones."""
    first, second = np.triu_indices(len(similarity), k=1)
    pairs = similarity[first, second]

    def statistic(experts: NDArray[np.int64]) -> float:
        same = experts[first] == experts[second]
        return float(pairs[same].mean() - pairs[~same].mean()) if same.any() and not same.all() else np.nan

    return statistic


def holm(tested: Sequence[Association]) -> list[Association]:
    """The same with p-values corrected for how many they are (Holm's step-down)."""
    largest, adjusted = 0.0, list(tested)
    for rank, index in enumerate(np.argsort([one.p_value for one in tested], kind="stable")):
        largest = max(largest, min(1.0, (len(tested) - rank) * tested[index].p_value))
        adjusted[index] = replace(tested[index], adjusted=largest)
    return adjusted
