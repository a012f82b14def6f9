"""Statistics of who serves whom."""

import json
from pathlib import Path

import numpy as np
import pytest

from moedsr.errors import InputError
from moedsr_platform.tracking.routing_report import Routing, RoutingHistory


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


@pytest.mark.parametrize("gates", [[[1.0]], [[0.5, 0.5]], [[1.0], [1.0]], [[0.0, 1.0], [0.0, 1.0]]])
def test_one_protein_or_one_expert_has_statistics(gates: list[list[float]]) -> None:
    statistics = routing(gates).statistics()
    assert str(statistics["specialisation"]) == "0.0"  # nor -0.0
    assert np.isfinite(list(filter(np.isscalar, statistics.values()))).all()


def test_table_has_a_row_a_protein() -> None:
    lines = routing([[0.25, 0.75], [1, 0]]).csv().splitlines()
    assert lines == [
        "protein,split,expert,gate_0,gate_1",
        "p0,train,1,0.250000,0.750000",
        "p1,train,0,1.000000,0.000000",
    ]


def test_files(tmp_path: Path) -> None:
    history = RoutingHistory(loads={0: [(1, 0.5), (2, 0.6)], 1: [(1, 0.5), (2, 0.4)]}, entropy=[(1, 1.0)])
    routing([[0.25, 0.75], [1, 0]]).write(tmp_path, history)
    assert {path.name for path in tmp_path.iterdir()} == {
        "assignment.csv", "statistics.json", "experts.png", "load.png"
    }  # fmt: skip
    assert json.loads((tmp_path / "statistics.json").read_text())["load"] == [0.625, 0.375]


def test_a_table_that_says_what_its_proteins_are_like(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = []
    for place in range(12):
        core = "ACDEFGHIKLMNPQRSTVWY" if place % 2 else "YWVTSRQPNMLKIHGFEDCA"
        sequence = core + "".join(rng.choice(list(core), 10))
        facts = {"sequence": sequence, "residues": 30, "helix": 0.8 if place % 2 else 0.1, "strand": 0.0}
        rows.append({"name": f"p{place}", "split": "train", "gates": [place % 2, 1 - place % 2], **facts})
    path = tmp_path / "routing.json"
    path.write_text(json.dumps({"experts": 2, "step": 7, "proteins": rows}))
    loaded = Routing.load(path)
    by_name = {one.property: one for one in loaded.associations}
    assert set(by_name) == {"sequence identity", "helix fraction"}  # the others are the same for all
    for one in by_name.values():
        assert one.p_value < 0.01
        assert one.adjusted >= one.p_value
    loaded.write(tmp_path / "routing", RoutingHistory())
    assert {file.name for file in (tmp_path / "routing").iterdir()} == {
        "assignment.csv", "statistics.json", "experts.png", "specialisation.csv", "specialisation.png"
    }  # fmt: skip
    lines = (tmp_path / "routing" / "assignment.csv").read_text().splitlines()
    assert lines[0] == "protein,split,expert,gate_0,gate_1,residues,helix_fraction,strand_fraction"
    assert lines[1] == "p0,train,1,0.000000,1.000000,30,0.1,0"
    saved = json.loads((tmp_path / "routing" / "statistics.json").read_text())["associations"]
    assert saved[0]["property"] == "sequence identity"


def test_many_proteins_are_aligned_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moedsr_platform.tracking.routing_report.ALIGNED_PROTEINS", 5)
    names = tuple(f"p{place}" for place in range(40))
    many = Routing(step=1, names=names, splits=("train",) * 40, gates=np.eye(2)[[0, 1] * 20], sequences=("ACD",) * 40)
    aligned, identity = many.identity
    assert aligned[0] == 0
    assert aligned[-1] == 39
    assert identity.shape == (5, 5)


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"experts": 2, "step": 1, "proteins": [{"name": "a", "split": "val", "gates": [1]}]}'],
)
def test_damaged_table(tmp_path: Path, text: str) -> None:
    path = tmp_path / "routing.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"routing\.json: not a routing table"):
        Routing.load(path)
