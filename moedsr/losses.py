"""The training losses (Eqs. 6-8), on whatever field gives a value and a gradient."""

from dataclasses import dataclass

import torch
from torch import Tensor

from moedsr.batch import TrainingBatch
from moedsr.config import LossConfig
from moedsr.distributed import global_sum, world_size
from moedsr.models.gate import Gates
from moedsr.models.moedsr import Prediction

LOSS_NAMES = tuple(f"train/{term}" for term in ("loss", "manifold", "normal", "eikonal", "latent", "load_balance"))


@dataclass(frozen=True, kw_only=True)
class Losses:
    """The five terms, unweighted, and their weighted sum; all scalar tensors."""

    manifold: Tensor
    normal: Tensor
    eikonal: Tensor
    latent: Tensor
    load_balance: Tensor
    total: Tensor

    def stacked(self) -> Tensor:
        """(6,) in the order of LOSS_NAMES, without gradient."""
        terms = (self.total, self.manifold, self.normal, self.eikonal, self.latent, self.load_balance)
        return torch.stack([term.detach() for term in terms])


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
    if config.router_z_weight:
        total = total + config.router_z_weight * router_z_loss(gates)
    return Losses(manifold=manifold, normal=normal, eikonal=eikonal, latent=latent, load_balance=balance, total=total)


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
