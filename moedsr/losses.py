"""The training losses (Eqs. 6-8), on whatever field gives a value and a gradient."""

from dataclasses import dataclass

import torch
from torch import Tensor

from moedsr.batch import TrainingBatch
from moedsr.config import LossConfig
from moedsr.distributed import global_sum, world_size
from moedsr.models.gate import Gates
from moedsr.models.moedsr import Prediction

_TERMS = ("loss", "manifold", "normal", "eikonal", "latent", "load_balance", "occupancy")
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
    total: Tensor

    def stacked(self) -> Tensor:
        """(7,) in the order of LOSS_NAMES, without gradient."""
        named = (self.manifold, self.normal, self.eikonal, self.latent, self.load_balance, self.occupancy)
        return torch.stack([term.detach() for term in (self.total, *named)])


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
    if config.router_z_weight:
        total = total + config.router_z_weight * router_z_loss(gates)
    return Losses(
        manifold=manifold,
        normal=normal,
        eikonal=eikonal,
        latent=latent,
        load_balance=balance,
        occupancy=occupancy,
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
    """Mean |σ(-F) - inside| at points near P0's surface, in units of what a protein has to gain.

    Least where F is negative at the points that are inside in most frames, which is the best static surface. Divided
    by each protein's gap, so that a protein that hardly moves, where little can be won, is not overruled by one that
    moves much: what is minimised is the mean over proteins of 1 - gap_closed, but for the smooth step.

    Args:
        value: (B, F, V) normalised.
        batch: with V occupancy points; zero is returned when there are none.
        width: Å, of the smooth step.
    """
    if value.shape[-1] == 0:
        return value.new_zeros(())
    inside = torch.sigmoid(-value * (batch.proteins.scale / width)[:, None, None])
    return ((inside - batch.occupied).abs().mean((1, 2)) / batch.occupancy_unit).mean()


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
