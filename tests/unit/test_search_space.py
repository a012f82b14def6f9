"""Domains, grids and configurations with sampled values."""

from pathlib import Path

import pytest

from moedsr.config import Config, DataConfig
from moedsr.errors import InputError
from moedsr_platform.sweep_file.search_space import (
    Domain,
    data_settings,
    describe,
    grid_points,
    involved,
    nearest_untried,
    override,
    problem_with,
    searchable_keys,
    space_size,
)

BASE = Config.model_validate_json('{"data": {"source": "mini-atlas"}}')


def test_every_key_of_the_configuration_but_what_is_learned_and_scored_can_be_searched() -> None:
    keys = searchable_keys()
    data = {f"data.{name}" for name in ("source", "store", "proteins", "replicas", "frames")}
    scored = {f"evaluation.{name}" for name in ("split", "scope", "frames", "grid_stride", "surface_samples")}
    assert set(keys) == BASE.flat().keys() - data - scored


def test_a_grid_is_every_combination_once() -> None:
    search = {"a": Domain(grid=(1, 2)), "b": Domain(choice=("x", "y", None))}
    points = grid_points(search)
    assert len(points) == 6
    assert points[0] == {"a": 1, "b": "x"}
    assert len({tuple(point.items()) for point in points}) == 6


CONDITIONAL = {
    "router.backbone": Domain(choice=("q_mpnn", "dmasif", "pointcnn")),
    "router.radial_basis": Domain(int=(8, 32), when={"router.backbone": "q_mpnn"}),
    "router.layers": Domain(choice=(1, 2), when={"router.backbone": ("q_mpnn", "dmasif")}),
    "expert.count": Domain(choice=(4, 8)),
}


def test_a_key_under_a_condition_counts_only_where_that_holds() -> None:
    points = grid_points({key: CONDITIONAL[key] for key in ("router.backbone", "router.layers")})
    assert points == [
        {"router.backbone": "q_mpnn", "router.layers": 1},
        {"router.backbone": "q_mpnn", "router.layers": 2},
        {"router.backbone": "dmasif", "router.layers": 1},
        {"router.backbone": "dmasif", "router.layers": 2},
        {"router.backbone": "pointcnn"},
    ]
    assert list(involved(CONDITIONAL, ["router.layers"])) == ["router.backbone", "router.layers"]
    assert list(involved(CONDITIONAL, ["gate.top_k"])) == []


@pytest.mark.parametrize(
    ("domain", "value", "holds", "nearest"),
    [
        (Domain(choice=(4, 8)), 8, True, 8),
        (Domain(choice=(4, 8)), 5, False, 4),
        (Domain(choice=("a", None)), None, True, None),
        (Domain(uniform=(0.5, 1.0)), 1, True, 1),
        (Domain(loguniform=(0.5, 1.0)), 2.0, False, 1.0),
        (Domain(int=(2, 4)), 3, True, 3),
        (Domain(int=(2, 4)), 2.5, False, 2),
        (Domain(int=(2, 4)), True, False, 2),
    ],
)
def test_whether_a_domain_holds_a_value_and_which_of_its_own_is_nearest(
    domain: Domain, value: object, holds: bool, nearest: object
) -> None:
    assert (domain.holds(value), domain.nearest(value)) == (holds, nearest)


def test_a_domain_in_words() -> None:
    assert CONDITIONAL["router.layers"].text() == "one of 1, 2, when router.backbone is q_mpnn or dmasif"
    assert Domain(loguniform=(0.001, 0.1)).text() == "loguniform from 0.001 to 0.1"


def test_each_store_that_a_sweep_varies_is_named_once() -> None:
    search = {
        "data.prepare.time_mode": Domain(choice=("concat", "replica")),
        "data.prepare.frames": Domain(choice=(10, 20), when={"data.prepare.time_mode": "replica"}),
        "expert.count": Domain(choice=(4, 8)),
    }
    found = [(data.prepare.time_mode, data.prepare.frames) for data in data_settings(BASE, search)]
    assert found == [("concat", 100), ("replica", 10), ("replica", 20)]
    assert data_settings(BASE, {"expert.count": Domain(choice=(4, 8))}) == [BASE.data]
    named = BASE.model_copy(update={"data": DataConfig(store=Path("store"))})
    assert data_settings(named, {})[0].model_fields_set == {"store"}  # whatever that store was prepared with


def test_the_nearest_untried_point_differs_in_one_neighbouring_value() -> None:
    search = {"expert.count": Domain(choice=(2, 4, 8)), "expert.kind": Domain(choice=("plain", "anchored"))}
    start = {"expert.count": 4, "expert.kind": "plain"}
    near = [nearest_untried(search, start, [start], seed) for seed in range(9)]
    assert {point["expert.count"] for point in near} == {2, 8}
    assert {point["expert.kind"] for point in near} == {"plain"}
    tried = [point for point in grid_points(search) if point["expert.kind"] == "plain"]
    assert nearest_untried(search, start, tried, 0) == {"expert.count": 4, "expert.kind": "anchored"}


def test_the_size_of_a_space() -> None:
    assert space_size({key: CONDITIONAL[key] for key in ("router.backbone", "router.layers", "expert.count")}) == 10
    assert space_size(CONDITIONAL) is None
    assert space_size({}) is None
    assert space_size({f"k{number}": Domain(choice=(1, 2)) for number in range(40)}) == 2**40


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
