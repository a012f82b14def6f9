"""Who goes on at a rung. That trials are asked to stop is in test_scheduler.py."""

import pytest

from moedsr_platform.search.asha import Halving
from moedsr_platform.sweep_file.schema import Asha


def went_on(values: list[float], factor: int, step: int = 10) -> list[float]:
    rule = Halving((10,), factor)
    return [value for number, value in enumerate(values) if not rule.behind(f"t{number}", step, value)]


@pytest.mark.parametrize("factor", [2, 3])
def test_of_trials_that_come_best_first_one_in_so_many_goes_on_no_more(factor: int) -> None:
    """Each is worse than all before it, until one is among the best again."""
    assert went_on([9, 8, 7, 6, 5, 4, 3, 2], factor) == [9]
    assert went_on([9, 1, 1, 8, 1, 8.5], factor) == ([9, 8, 8.5] if factor == 2 else [9, 8.5])


def test_the_best_so_far_always_goes_on() -> None:
    assert went_on([1, 2, 3, 4], 4) == [1, 2, 3, 4]
    assert went_on([0.5], 4) == [0.5]


def test_equals_are_not_behind_each_other() -> None:
    assert went_on([1, 1, 1], 2) == [1, 1, 1]


def test_a_trial_is_judged_once_at_each_rung_where_it_first_comes() -> None:
    rule = Halving((10, 20, 40), 2)
    assert not rule.behind("a", 5, 0.0)  # before the first rung
    assert not rule.behind("a", 12, 0.9)
    assert rule.behind("b", 12, 0.8)
    assert not rule.behind("c", 25, 0.1)  # first at the rung of 20; that of 10 was never its own
    assert rule.behind("d", 39, 0.0)
    assert not rule.behind("d", 39, 0.0)  # judged already
    assert rule.behind("e", 10, 0.85)  # the rung of 10 holds a and b


def test_rungs_lie_the_factor_apart_and_end_before_the_training_does() -> None:
    assert Asha(grace_steps=12).rungs(108) == (12, 24, 48, 96)
    assert Asha(grace_steps=10, reduction_factor=3).rungs(90) == (10, 30)
    assert Asha(grace_steps=90, reduction_factor=3).rungs(90) == (90,)
