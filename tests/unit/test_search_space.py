"""Domains, grids and configurations with sampled values."""

import pytest

from moedsr.config import Config
from moedsr.errors import InputError
from moedsr_platform.search_space import (
    Domain,
    describe,
    grid_points,
    override,
    problem_with,
    searchable_keys,
)

BASE = Config.model_validate_json('{"data": {"source": "mini-atlas"}}')


def test_every_key_of_the_configuration_but_the_data_can_be_searched() -> None:
    keys = searchable_keys()
    assert set(keys) == {key for key in BASE.flat() if not key.startswith("data.")}


def test_a_grid_is_every_combination_once() -> None:
    search = {"a": Domain(grid=(1, 2)), "b": Domain(choice=("x", "y", None))}
    points = grid_points(search)
    assert len(points) == 6
    assert points[0] == {"a": 1, "b": "x"}
    assert len({tuple(point.items()) for point in points}) == 6


def test_sampled_values_replace_those_of_the_base_and_nothing_else() -> None:
    config = override(BASE, {"expert.count": 8, "training.learning_rate": 0.01})
    assert (config.expert.count, config.training.learning_rate) == (8, 0.01)
    changed = {key for key, value in config.flat().items() if value != BASE.flat()[key]}
    assert changed == {"expert.count", "training.learning_rate"}


def test_values_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(InputError, match=r"gate\.top_k is 2, but must be at most expert\.count = 1"):
        override(BASE, {"expert.count": 1})


def test_a_value_is_judged_apart_from_the_keys_that_are_searched_with_it() -> None:
    assert problem_with(BASE, "expert.count", 1) is None  # wrong with the base's top_k only
    assert problem_with(BASE, "expert.count", -1) is not None
    assert problem_with(BASE, "loss.load_balance", "siwtch") is not None


@pytest.mark.parametrize(
    ("domain", "inside", "outside"),
    [
        (Domain(choice=(1, 3, 9)), [1, 3, 9], [2]),
        (Domain(uniform=(0.5, 1.0)), [0.5, 1.0], [0.4]),
        (Domain(loguniform=(0.001, 1.0)), [0.001, 1.0], [0.0]),
        (Domain(int=(2, 4)), [2, 3, 4], [1, 5]),
    ],
)
def test_optuna_sees_the_same_domain(domain: Domain, inside: list[float], outside: list[float]) -> None:
    distribution = domain.distribution()
    for value in inside:
        distribution.to_internal_repr(value)
        assert _contains(distribution, value)
    assert not any(_contains(distribution, value) for value in outside)


def test_parameters_are_shown_by_their_last_part() -> None:
    assert describe({"expert.count": 8, "loss.eikonal_weight": 0.123456}) == "count=8 eikonal_weight=0.123"


def _contains(distribution: object, value: float) -> bool:
    choices = getattr(distribution, "choices", None)
    if choices is not None:
        return value in choices
    return distribution.low <= value <= distribution.high  # type: ignore[attr-defined]
