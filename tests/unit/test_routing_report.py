"""Statistics of who serves whom."""

import json
from pathlib import Path

import numpy as np
import pytest

from moedsr.errors import InputError
from moedsr_platform.routing_report import Routing


def routing(gates: list[list[float]]) -> Routing:
    names = tuple(f"p{index}" for index in range(len(gates)))
    return Routing(step=5, names=names, splits=("train",) * len(gates), gates=np.array(gates))


def test_one_expert_of_its_own_for_each_protein_is_full_specialisation() -> None:
    statistics = routing([[1, 0, 0], [0, 1, 0], [0, 0, 1]]).statistics()
    assert statistics["specialisation"] == pytest.approx(1)
    assert statistics["effective_experts"] == pytest.approx(3)
    assert statistics["experts_per_protein"] == pytest.approx(1)
    assert statistics["idle_experts"] == []


def test_one_mixture_for_all_is_no_specialisation() -> None:
    statistics = routing([[0.75, 0.25, 0]] * 4).statistics()
    assert statistics["specialisation"] == pytest.approx(0, abs=1e-12)
    assert statistics["max_load"] == pytest.approx(0.75)
    assert statistics["idle_experts"] == [2]


@pytest.mark.parametrize("gates", [[[1.0]], [[0.5, 0.5]], [[1.0], [1.0]]])
def test_one_protein_or_one_expert_has_statistics(gates: list[list[float]]) -> None:
    statistics = routing(gates).statistics()
    assert statistics["specialisation"] == 0
    assert np.isfinite(list(filter(np.isscalar, statistics.values()))).all()


def test_table_has_a_row_a_protein() -> None:
    lines = routing([[0.25, 0.75], [1, 0]]).csv().splitlines()
    assert lines == [
        "protein,split,expert,gate_0,gate_1",
        "p0,train,1,0.250000,0.750000",
        "p1,train,0,1.000000,0.000000",
    ]


def test_files(tmp_path: Path) -> None:
    routing([[0.25, 0.75], [1, 0]]).write(tmp_path, {0: [(1, 0.5), (2, 0.6)], 1: [(1, 0.5), (2, 0.4)]})
    assert {path.name for path in tmp_path.iterdir()} == {
        "assignment.csv", "statistics.json", "experts.png", "load.png"
    }  # fmt: skip
    assert json.loads((tmp_path / "statistics.json").read_text())["load"] == [0.625, 0.375]


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"experts": 2, "step": 1, "proteins": [{"name": "a", "split": "val", "gates": [1]}]}'],
)
def test_damaged_table(tmp_path: Path, text: str) -> None:
    path = tmp_path / "routing.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"routing\.json: not a routing table"):
        Routing.load(path)
