import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from moedsr.batches.batch import TrainingBatch
from moedsr.config import Config, LossConfig
from moedsr.models.experts import EXPERTS
from moedsr.models.moedsr import MoEDSR
from moedsr.models.router.gate import Gates
from moedsr.training.losses import (
    LOAD_BALANCE,
    eikonal_loss,
    latent_loss,
    manifold_loss,
    normal_loss,
    router_z_loss,
    training_losses,
)


def make_gates(logits: torch.Tensor, top_k: int = 2) -> Gates:
    top, experts = logits.topk(top_k, dim=-1)
    return Gates(experts=experts, weights=top.softmax(-1), logits=logits)


def test_exact_distance_of_a_sphere_costs_nothing() -> None:
    normals = torch.nn.functional.normalize(torch.randn(100, 3, dtype=torch.float64), dim=-1)
    assert manifold_loss((0.5 * normals).norm(dim=-1) - 0.5) == pytest.approx(0, abs=1e-12)
    assert normal_loss(normals, normals) == 0
    assert eikonal_loss(normals) == pytest.approx(0, abs=1e-12)


def test_terms_by_hand() -> None:
    assert manifold_loss(torch.tensor([-1.0, 3.0])) == 2
    assert normal_loss(torch.tensor([[0.0, 0.0, 3.0]]), torch.tensor([[0.0, 4.0, 0.0]])) == 5
    assert eikonal_loss(torch.tensor([[3.0, 0.0, 0.0], [0.0, 0.0, 0.0]])) == 2.5
    assert latent_loss(torch.tensor([[3.0, 4.0], [0.0, 0.0]])) == 2.5
    assert latent_loss(torch.zeros(2, 0)) == 0


def test_no_nan_where_a_norm_is_zero() -> None:
    zero = torch.zeros(2, 3, requires_grad=True)
    (normal_loss(zero, torch.zeros(2, 3)) + eikonal_loss(zero) + latent_loss(zero)).backward()
    assert torch.isfinite(zero.grad).all()


def test_weights_enter_the_total(small_config: Config, make_batch: Callable[..., TrainingBatch]) -> None:
    batch = make_batch()
    prediction = MoEDSR(small_config, 2).double()(batch)
    weights = LossConfig(
        sdf_weight=2.0,
        normal_weight=3.0,
        eikonal_weight=5.0,
        latent_weight=7.0,
        load_balance_weight=11.0,
        router_z_weight=13.0,
    )
    losses = training_losses(prediction, batch, weights)
    sdf = losses.manifold + 3 * losses.normal + 5 * losses.eikonal + 7 * losses.latent
    expected = 2 * sdf + 11 * losses.load_balance + 13 * router_z_loss(prediction.context.gates)
    torch.testing.assert_close(losses.total, expected)
    assert losses.stacked()[0] == losses.total


def test_balance_by_hand() -> None:
    """Two proteins on expert 0, none else: Γ = (1, 0), sparse η = (1, 0) with top_k = 1."""
    logits = torch.tensor([[2.0, 0.0], [2.0, 0.0]])
    assert LOAD_BALANCE["paper"](make_gates(logits, 1)) == pytest.approx(2.0)
    assert LOAD_BALANCE["cv2"](make_gates(logits, 1)) == pytest.approx(1.0)
    dense = math.exp(2) / (math.exp(2) + 1)
    assert LOAD_BALANCE["switch"](make_gates(logits, 1)).item() == pytest.approx(2 * dense)


@pytest.mark.parametrize(("balance", "starved_learns"), [("switch", True), ("paper", False)])
def test_only_dense_balance_reaches_a_starved_expert(balance: str, starved_learns: bool) -> None:
    logits = torch.tensor([[3.0, 2.0, -1.0], [3.0, 1.0, -1.0]], requires_grad=True)
    LOAD_BALANCE[balance](make_gates(logits)).backward()
    assert bool((logits.grad[:, 2] != 0).any()) is starved_learns


@pytest.mark.parametrize("balance", LOAD_BALANCE)
def test_even_routing_is_one_or_zero(balance: str) -> None:
    logits = torch.eye(4, dtype=torch.float64) * 3 + torch.roll(torch.eye(4, dtype=torch.float64), 1, 1)
    expected = 0.0 if balance == "cv2" else 1.0
    assert LOAD_BALANCE[balance](make_gates(logits)).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("device", "tolerance"), [("cpu", 1e-12), pytest.param("cuda", 1e-10, marks=pytest.mark.gpu)])
def test_two_workers_equal_one(device: str, tolerance: float, tmp_path: Path) -> None:
    """Loss and averaged gradients of two processes with half the batch each, against one with all of it.

    Every kind of expert with every load-balancing loss, and the z-loss. On a GPU, which they share, sums are in no
    certain order.
    """
    script = Path(__file__).parents[1] / "data" / "gradients_of_a_batch.py"
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(script.parents[1]), *sys.path]),
        "MASTER_ADDR": "127.0.0.1",
        "OMP_NUM_THREADS": "1",
    }

    def start(rank: int, world: int, port: int) -> subprocess.Popen:
        own = environment | {"RANK": str(rank), "WORLD_SIZE": str(world), "MASTER_PORT": str(port)}
        return subprocess.Popen([sys.executable, str(script), str(tmp_path / f"{world}_{rank}.pt"), device], env=own)

    port = 20_000 + os.getpid() % 20_000
    for process in [start(0, 1, port), start(0, 2, port + 1), start(1, 2, port + 1)]:
        assert process.wait(timeout=240) == 0
    alone, first, second = (torch.load(tmp_path / f"{name}.pt") for name in ("1_0", "2_0", "2_1"))
    assert set(alone) == {f"{kind} {balance}" for kind in [*EXPERTS, "no router"] for balance in LOAD_BALANCE}
    for case in alone:
        mine, theirs, whole = first[case], second[case], alone[case]
        torch.testing.assert_close(mine["gradients"], theirs["gradients"], atol=0, rtol=0)
        torch.testing.assert_close(mine["gradients"], whole["gradients"], atol=tolerance, rtol=0)
        loss = (mine["loss"] + theirs["loss"]) / 2
        torch.testing.assert_close(loss, whole["loss"], atol=tolerance, rtol=0)
