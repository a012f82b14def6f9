"""Radial basis of the quasi-geodesic distance and the network that turns it into tensor-product weights."""

import math

import torch
from torch import Tensor, nn


class GaussianBasis(nn.Module):
    """exp(-γ (d - μ_k)²) with evenly spaced centres μ_k on [0, end] Å.

    Args:
        count: number of Gaussians.
        end: Å, last centre.
        gamma: Å⁻²; None gives 1 / (2 spacing²), which leaves no gaps between the centres.
    """

    centres: Tensor

    def __init__(self, count: int, end: float, gamma: float | None) -> None:
        super().__init__()
        spacing = end / (count - 1)
        self.gamma = 1 / (2 * spacing**2) if gamma is None else gamma
        self.register_buffer("centres", torch.linspace(0, end, count), persistent=False)

    def forward(self, distance: Tensor) -> Tensor:
        """(...) Å to (..., count)."""
        return torch.exp(-self.gamma * (distance[..., None] - self.centres).square())


class RadialNetwork(nn.Module):
    """Two-layer network from the radial basis to the weights of a depthwise tensor product."""

    def __init__(self, basis: int, weights: int, hidden: int = 64) -> None:
        super().__init__()
        self.inner = nn.Linear(basis, hidden)
        self.norm = nn.LayerNorm(hidden)
        self.outer = nn.Linear(hidden, weights)

    def forward(self, basis: Tensor) -> Tensor:
        """(..., basis) to (..., weights)."""
        result: Tensor = self.outer(nn.functional.silu(self.norm(self.inner(basis))))
        return result


def cosine_envelope(distance: Tensor, cutoff: float) -> Tensor:
    """Weight that falls smoothly from one at 0 to zero at the cutoff, so that no neighbour drops out at once."""
    return (1 + torch.cos(distance / cutoff * math.pi)) / 2 * (distance < cutoff)
