"""Which expert wins where."""

import numpy as np
import pytest
import torch

from moedsr.batches.protein_input import ProteinInput, collate
from moedsr.config import Config
from moedsr.geometry.mesh import Mesh
from moedsr.inference.expert_colours import colour_of
from moedsr.inference.expert_territory import Territory, expert_territory
from moedsr.inference.protein_field import ProteinField
from moedsr.models.moedsr import MoEDSR
from moedsr.store.store import SurfaceStore


def test_the_nearest_expert_wins() -> None:
    signed = np.array([[0.1, -0.5, 0.3, -0.2], [-0.4, 0.2, 0.3, 0.9]], dtype=np.float32)
    territory = Territory(experts=(3, 1), gates=(0.75, 0.25), signed=signed)
    assert territory.nearest.tolist() == [0, 1, 0, 0]
    assert territory.shares == (0.75, 0.25)
    assert territory.colours[1].tolist() == [0xEE, 0x66, 0x77]  # expert 1's
    assert (territory.colours[[0, 2, 3]] == [0xCC, 0xBB, 0x44]).all()  # expert 3's
    assert colour_of(3) == colour_of(3 + 16)


def test_the_outermost_expert_and_how_far_experts_disagree() -> None:
    signed = np.array([[0.1, -0.5, 0.3], [-0.4, 0.5, 0.3]], dtype=np.float32)
    territory = Territory(experts=(3, 1), gates=(0.5, 0.5), signed=signed)
    assert territory.outermost.tolist() == [1, 0, 0]  # inside its surface the distance is negative
    assert territory.disagreement == pytest.approx([0.25, 0.5, 0.0], abs=1e-6)


@pytest.fixture
def field(tiny_run: Config, tiny_store: SurfaceStore) -> ProteinField:
    torch.manual_seed(0)
    model = MoEDSR(tiny_run, 2).eval()
    protein = tiny_store.protein("1vii_A")
    return ProteinField(model, collate([ProteinInput.of(protein, tiny_run)], [-1]))


def test_experts_alone_add_up_to_the_mixture(field: ProteinField, tiny_store: SurfaceStore) -> None:
    scale = tiny_store.protein("1vii_A").scale
    points = np.random.default_rng(0).normal(size=(20, 3)) * 10
    truth = Mesh(points, np.zeros((0, 3), dtype=np.int64), points)
    territory = expert_territory(field, truth, 0.25, scale=scale)
    gates = field.context.gates
    assert list(territory.experts) == gates.experts[0].tolist()
    assert sum(territory.gates) == pytest.approx(1)
    signed = np.stack([
        field.with_gates(type(gates)(
            experts=gates.experts[:, [place]], weights=torch.ones(1, 1), logits=gates.logits
        ))(points / scale, 0.25)
        for place in range(len(territory.experts))
    ])  # fmt: skip
    np.testing.assert_allclose(territory.signed, signed * scale, rtol=1e-5)
    mixed = (np.array(territory.gates)[:, None] * signed).sum(0)
    np.testing.assert_allclose(mixed, field(points / scale, 0.25), atol=1e-5)
