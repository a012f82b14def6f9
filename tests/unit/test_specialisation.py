"""Associations of experts with properties of proteins, and how surprising they are."""

from dataclasses import replace

import numpy as np
import pytest

from moedsr.evaluation.specialisation import associations, holm

RNG = np.random.default_rng(3)
EXPERTS = [0] * 8 + [1] * 8 + [2] * 8


def alike(groups: list[int]) -> np.ndarray:
    """Similarity 0.5 within a group, 0.2 else."""
    same = np.equal.outer(groups, groups)
    return np.where(same, 0.5, 0.2)


def test_what_decides_the_expert_is_found() -> None:
    found = associations(
        EXPERTS,
        numbers={"size": [10.0 * expert for expert in EXPERTS], "noise": RNG.normal(size=24).tolist()},
        classes={"fold": [f"fold {expert}" for expert in EXPERTS]},
        similarities={"identity": alike(EXPERTS)},
        permutations=499,
    )
    by_name = {one.property: one for one in found}
    assert by_name["size"].value == pytest.approx(1)  # all variance lies between experts
    assert by_name["fold"].value == pytest.approx(np.log(3))
    assert by_name["identity"].value == pytest.approx(0.3)
    for name in ("size", "fold", "identity"):
        assert by_name[name].p_value == pytest.approx(1 / 500)
        assert by_name[name].value > by_name[name].expected
    assert by_name["noise"].p_value > 0.05


def test_p_values_are_uniform_without_an_effect() -> None:
    """Of random properties, a tenth has a p-value below a tenth: within three standard errors."""
    numbers = {str(place): RNG.normal(size=24).tolist() for place in range(300)}
    p_values = [one.p_value for one in associations(EXPERTS, numbers=numbers, permutations=99)]
    assert np.mean(np.array(p_values) <= 0.1) == pytest.approx(0.1, abs=3 * np.sqrt(0.09 / 300))


@pytest.mark.parametrize("kind", ["numbers", "classes", "similarities"])
@pytest.mark.parametrize("experts", [[0] * 12 + [1] * 6 + [2] * 2, [0, 0, 1, 1, 1]], ids=["20 proteins", "5 proteins"])
def test_no_test_finds_more_than_chance(kind: str, experts: list[int]) -> None:
    """P(p <= 0.1) is at most 0.1 where nothing is to be found, also for classes and few proteins, whose p is coarse."""
    draw, count, tries = np.random.default_rng(5), len(experts), 300

    def one() -> object:
        if kind == "numbers":
            return draw.lognormal(size=count).tolist()
        if kind == "classes":
            return draw.choice(["a", "b", "c"], size=count).tolist()
        places = draw.normal(size=(count, 2))
        return -np.linalg.norm(places[:, None] - places, axis=-1)

    found = associations(experts, permutations=99, **{kind: {str(number): one() for number in range(tries)}})
    below = np.mean([association.p_value <= 0.1 for association in found])
    assert below <= 0.1 + 3 * np.sqrt(0.09 / tries)


def test_few_proteins_cannot_have_a_small_p_value() -> None:
    (few,) = associations([0, 0, 1, 1, 1], numbers={"n": [0.0, 0.1, 5.0, 5.1, 5.2]}, permutations=999)
    assert few.least == pytest.approx(1 / 10)  # 5! / (2! 3!) ways
    assert few.p_value >= few.least * 0.8  # of random reassignments, about a tenth is the true one
    (many,) = associations(EXPERTS, numbers={"n": [float(expert) for expert in EXPERTS]}, permutations=999)
    assert many.least == pytest.approx(1 / 1000)


def test_unknown_values_are_left_out() -> None:
    values = [float(expert) for expert in EXPERTS]
    values[0] = values[9] = np.nan
    (found,) = associations(EXPERTS, numbers={"size": values}, permutations=99)
    assert found.proteins == 22
    assert found.value == pytest.approx(1)


@pytest.mark.parametrize(
    "experts", [[], [1], [1, 1, 1], [0, 1, 2]], ids=["no protein", "one", "one expert", "one protein each"]
)
def test_nothing_to_test(experts: list[int]) -> None:
    count = len(experts)
    assert associations(experts, numbers={"n": list(range(count))}, similarities={"s": np.eye(count)}) == []


def test_a_property_that_all_share_is_not_tested() -> None:
    assert associations(EXPERTS, numbers={"n": [1.0] * 24}, classes={"c": ["x"] * 24}, permutations=19) == []


def test_holm_by_hand() -> None:
    found = associations(EXPERTS, numbers={name: RNG.normal(size=24).tolist() for name in "abc"}, permutations=19)
    given = [replace(one, p_value=value) for one, value in zip(found, [0.04, 0.01, 0.03], strict=True)]
    assert [one.adjusted for one in holm(given)] == pytest.approx([0.06, 0.03, 0.06])
