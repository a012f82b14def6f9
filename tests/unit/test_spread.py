"""The first points of a search by TPE."""

import math
from collections import Counter

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from moedsr_platform.search.spread import SpreadSampler

SPACE = {
    "word": CategoricalDistribution(("a", "b", "c", "d")),
    "count": IntDistribution(2, 5),
    "share": FloatDistribution(-1.0, 1.0),
    "rate": FloatDistribution(1e-4, 1e-2, log=True),
}


def points(seed: int, number: int = 8) -> list[dict[str, object]]:
    study = optuna.create_study()
    found = []
    for place in range(number):
        study.sampler = SpreadSampler(seed, place, 8)
        found.append(study.ask(SPACE).params)
    return found


@pytest.mark.parametrize("seed", [0, 1, -3])
def test_every_value_and_every_part_of_a_range_is_met_equally_often(seed: int) -> None:
    found = points(seed)
    assert Counter(point["word"] for point in found) == {"a": 2, "b": 2, "c": 2, "d": 2}
    assert len({point["word"] for point in found[:4]}) == 4
    assert Counter(point["count"] for point in found) == {2: 2, 3: 2, 4: 2, 5: 2}
    assert sorted(int((point["share"] + 1) * 4) for point in found) == list(range(8))
    assert sorted(int((math.log10(point["rate"]) + 4) * 4) for point in found) == list(range(8))


def test_keys_are_not_in_step_with_each_other() -> None:
    assert len({(point["word"], point["count"]) for seed in range(20) for point in points(seed)}) == 16


def test_the_same_seed_gives_the_same_points_and_another_seed_others() -> None:
    assert points(5) == points(5)
    assert points(5) != points(6)
