"""PointMLP (X. Ma et al., ICLR 2022), in its smaller, "elite" form: residual MLPs on normalised neighbourhoods."""

import torch
from torch import Tensor, nn

from moedsr.config import RouterConfig
from moedsr.models.router.encoders._base import pool_mean
from moedsr.models.router.encoders._cloud import (
    Cloud,
    CoordinateEncoder,
    Neighbourhood,
    gather,
    input_features,
    shared_mlp,
)

_NEIGHBOURS = 24
_SMALLEST = 1e-5  # added to the deviation of a neighbourhood's features, in quadrature: √ has a gradient at zero too


class PointMLP(CoordinateEncoder):
    """Four stages; each keeps half of the points. LayerNorm stands for BatchNorm."""

    def __init__(self, config: RouterConfig) -> None:
        c = config.hidden_channels
        super().__init__(config, channels=8 * c)
        self.embed = shared_mlp(3 + input_features(config), c)
        self.stages = nn.ModuleList(
            Stage(width_in * c, width_out * c, blocks)
            for width_in, width_out, blocks in ((1, 2, 1), (2, 4, 1), (4, 8, 2), (8, 8, 1))
        )

    def encode(self, cloud: Cloud, features: Tensor) -> tuple[Cloud, Tensor]:
        """One of 16 points, but at least 16, and features (Q, channels)."""
        features = self.embed(torch.cat([cloud.positions, features], -1))
        for stage in self.stages:
            cloud, features = stage(cloud, features)
        return cloud, features


class Stage(nn.Module):
    """Neighbourhoods of half of the points: normalised, through residual blocks, pooled, through residual blocks."""

    def __init__(self, width_in: int, width_out: int, blocks: int) -> None:
        super().__init__()
        self.affine = GeometricAffine(width_in)
        self.transfer = shared_mlp(2 * width_in, width_out)
        self.before = nn.Sequential(*(ResidualBlock(width_out) for _ in range(blocks)))
        self.after = nn.Sequential(*(ResidualBlock(width_out) for _ in range(blocks)))

    def forward(self, cloud: Cloud, features: Tensor) -> tuple[Cloud, Tensor]:
        """A thinner cloud and its features (Q, width_out), from features (P, width_in)."""
        centres, index = cloud.thinned(0.5)
        around = cloud.around(centres, _NEIGHBOURS)
        anchor = features[index]
        grouped = self.affine(gather(features, around.index), anchor, around, centres.protein)
        pairs = torch.cat([grouped, anchor[:, None].expand_as(grouped)], -1)
        return centres, self.after(self.before(self.transfer(pairs)).amax(1))


class GeometricAffine(nn.Module):
    """α ⊙ (g − anchor) / σ + β, with σ the standard deviation of all g − anchor of the protein."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(width))
        self.beta = nn.Parameter(torch.zeros(width))

    def forward(self, grouped: Tensor, anchor: Tensor, around: Neighbourhood, protein: Tensor) -> Tensor:
        """Neighbours' features (Q, k, width) about those of their centres (Q, width), normalised per protein (Q,)."""
        # statistics in the precision of the coordinates: bfloat16 has too little of it
        difference = grouped.to(around.offset.dtype) - anchor.to(around.offset.dtype)[:, None]
        size = int(protein[-1]) + 1
        mean_slots = pool_mean(around.found.to(difference.dtype), protein, size)  # neighbours of a centre

        def mean(values: Tensor) -> Tensor:
            own = (values.mean(-1) * around.mask).sum(1)
            return (pool_mean(own, protein, size) / mean_slots)[protein, None, None]

        variance = mean((difference - mean(difference)).square())
        return difference * (variance + _SMALLEST**2).rsqrt() * self.alpha + self.beta


class ResidualBlock(nn.Module):
    """ReLU(x + W₂ ReLU(W₁ x)) with normalised maps and a quarter of the width between them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = max(width // 4, 4)
        self.inner = shared_mlp(width, inner)
        self.outer = nn.Sequential(nn.Linear(inner, width), nn.LayerNorm(width))

    def forward(self, features: Tensor) -> Tensor:
        """(…, width) to the same."""
        return torch.relu(features + self.outer(self.inner(features)))
