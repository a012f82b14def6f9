"""The training losses (Eqs. 6-8), on whatever field gives a value and a gradient."""

from dataclasses import dataclass

import torch
from torch import Tensor

from moedsr.batches.batch import TrainingBatch
from moedsr.config import LossConfig
from moedsr.models.moedsr import Prediction
from moedsr.models.router.gate import Gates
from moedsr.training.distributed import global_sum, world_size

_TERMS = ("loss", "manifold", "normal", "eikonal", "latent", "load_balance", "occupancy", "change")
LOSS_NAMES = tuple(f"train/{term}" for term in _TERMS)


@dataclass(frozen=True, kw_only=True)
class Losses:
    """The terms, unweighted, and their weighted sum; all scalar tensors."""

    manifold: Tensor
    normal: Tensor
    eikonal: Tensor
    latent: Tensor
    load_balance: Tensor
    occupancy: Tensor
    change: Tensor
    total: Tensor

    def stacked(self) -> Tensor:
        """(8,) in the order of LOSS_NAMES, without gradient."""
        paper = (self.manifold, self.normal, self.eikonal, self.latent, self.load_balance)
        return torch.stack([term.detach() for term in (self.total, *paper, self.occupancy, self.change)])


def training_losses(prediction: Prediction, batch: TrainingBatch, config: LossConfig) -> Losses:
    """All terms of one batch; under data parallelism the mean over workers is the loss of the whole batch.

    The terms are taken on the mixture, the quantity that is evaluated, which also gives the gate a task gradient.
    """
    gates = prediction.context.gates
    manifold = manifold_loss(prediction.surface_value)
    normal = normal_loss(prediction.surface_gradient, batch.surface_normals)
    eikonal = eikonal_loss(prediction.off_surface_gradient)
    latent = latent_loss(prediction.context.codes)
    balance = LOAD_BALANCE[config.load_balance](gates)
    total = config.sdf_weight * (
        manifold + config.normal_weight * normal + config.eikonal_weight * eikonal + config.latent_weight * latent
    )
    total = total + config.load_balance_weight * balance
    occupancy = occupancy_loss(prediction.occupancy_value, batch, config.occupancy_width)
    if config.occupancy_weight:
        total = total + config.occupancy_weight * occupancy
    change = change_loss(prediction, batch.proteins.scale)
    if config.change_weight:
        total = total + config.change_weight * change
    if config.router_z_weight:
        total = total + config.router_z_weight * router_z_loss(gates)
    return Losses(
        manifold=manifold,
        normal=normal,
        eikonal=eikonal,
        latent=latent,
        load_balance=balance,
        occupancy=occupancy,
        change=change,
        total=total,
    )


def manifold_loss(surface_value: Tensor) -> Tensor:
    """Mean |F| on the surface (Eq. 7, first term)."""
    return surface_value.abs().mean()


def normal_loss(surface_gradient: Tensor, normals: Tensor) -> Tensor:
    """Mean |∇F - n| on the surface (Eq. 7, second term), norms not squared."""
    # vector_norm has subgradient 0 at 0, where a hand-written square root gives NaN
    return torch.linalg.vector_norm(surface_gradient - normals, dim=-1).mean()


def eikonal_loss(off_surface_gradient: Tensor) -> Tensor:
    """Mean (|∇F| - 1)² off the surface (Eq. 6)."""
    return (torch.linalg.vector_norm(off_surface_gradient, dim=-1) - 1).square().mean()


def occupancy_loss(value: Tensor, batch: TrainingBatch, width: float) -> Tensor:
    """Cost of wrong points near P0's surface, in units of what a protein has to gain.

    A point wrongly outside costs one, a point wrongly inside ρ, P0's own IoU. With I points inside both and U inside
    either, one more of the first kind that is put right raises I by one, one more of the second lowers U by one, and
    d(I/U) = (dI - I/U dU) / U: so weighed, to lower the cost is to raise the IoU. With equal costs every part that is
    inside in less than half of the frames would be cut off, and the surface shrink.

    Divided by each protein's gap, so that a protein that hardly moves, where little can be won, is not overruled by
    one that moves much: what is minimised is about the mean over proteins of 1 - gap_closed.

    Args:
        value: (B, F, V) normalised.
        batch: with V occupancy points; zero is returned when there are none.
        width: Å, of the smooth step.
    """
    if value.shape[-1] == 0:
        return value.new_zeros(())
    inside = torch.sigmoid(-value * (batch.proteins.scale / width)[:, None, None])
    wrong = batch.occupied * (1 - inside) + batch.inside_cost[:, None, None] * (1 - batch.occupied) * inside
    return (wrong.mean((1, 2)) / batch.occupancy_unit).mean()


def change_loss(prediction: Prediction, scale: Tensor) -> Tensor:
    """Mean (F - S)² in Å² at the same points, S being P0's signed distance; zero where the model does not know S.

    Keeps the field at P0 where there is no reason to leave it. Inside and outside alone do not say how far a field may
    go once its sign is right, and the surface would be cut off clean where it need only give way a little.

    Args:
        prediction: of the batch.
        scale: (B,) Å per normalised unit.
    """
    if prediction.initial_value.shape[-1] == 0:
        return scale.new_zeros(())
    moved = (prediction.occupancy_value - prediction.initial_value) * scale[:, None, None]
    return moved.square().mean()


def latent_loss(codes: Tensor) -> Tensor:
    """Mean |z| (Eq. 6), not squared."""
    return torch.linalg.vector_norm(codes, dim=-1).mean() if codes.shape[-1] else codes.new_zeros(())


def switch_balance(gates: Gates) -> Tensor:
    """N_E Σ Γ_i η_i with η from the softmax over all experts, so that a starved expert gets a gradient too."""
    return _balance(gates, gates.logits.softmax(-1))


def paper_balance(gates: Gates) -> Tensor:
    """Eq. 8: N_E Σ Γ_i η_i with η from the sparse gates; only the chosen experts get a gradient."""
    return _balance(gates, gates.dense)


def squared_variation_balance(gates: Gates) -> Tensor:
    """Squared coefficient of variation of the experts' summed gates."""
    importance = global_sum(gates.dense.sum(0))
    return importance.var(correction=0) / importance.mean().square()


def router_z_loss(gates: Gates) -> Tensor:
    """Mean squared log-partition of the logits; keeps them from growing."""
    return gates.logits.logsumexp(-1).square().mean()


def _balance(gates: Gates, probabilities: Tensor) -> Tensor:
    proteins, count = probabilities.shape
    everywhere = proteins * world_size()  # every worker holds the same number of proteins
    first = torch.nn.functional.one_hot(gates.experts[:, 0], count).to(probabilities)
    fraction = global_sum(first.sum(0)) / everywhere
    probability = global_sum(probabilities.sum(0)) / everywhere
    return count * (fraction.detach() * probability).sum()


LOAD_BALANCE = {"switch": switch_balance, "paper": paper_balance, "cv2": squared_variation_balance}
