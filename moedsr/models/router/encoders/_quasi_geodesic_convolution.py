"""dMaSIF's convolution: a filter of the offset in a local frame, in a window of the quasi-geodesic distance."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from moedsr.geometry.quasi_geodesic import quasi_geodesic_distance
from moedsr.geometry.tangent_frame import tangent_basis
from moedsr.models.router.encoders._protein_norm import ProteinGroupNorm

_CUTS = 8  # hidden units of the filter
_ELEMENTS = 2**22  # filter values held at once
_SMALLEST = 1e-5  # Å, a shorter orientation vector fades the tangents out instead of turning them at random


@dataclass(frozen=True)
class FramedSurface:
    """Surface clouds of several proteins with a right-handed frame at each point."""

    points: Tensor  # (P, 3) Å
    normals: Tensor  # (P, 3) unit
    frames: Tensor  # (P, 3, 3) rows: normal, two tangents
    protein: Tensor  # (P,) ascending
    radius: float  # σ in Å

    def counts(self) -> list[int]:
        """Points of each protein."""
        return torch.bincount(self.protein).tolist()

    @classmethod
    def of(cls, points: Tensor, normals: Tensor, protein: Tensor, scores: Tensor, radius: float) -> "FramedSurface":
        """Tangents along Σ_j exp(-ρ_ij²) s_j (x_j - x_i), with ρ_ij = |x_ij| (2 - <n_i, n_j>) / σ.

        Args:
            points: (P, 3) Å.
            normals: (P, 3) unit.
            protein: (P,) ascending.
            scores: (P,) s_j, learned.
            radius: σ in Å.
        """
        with torch.autocast(points.device.type, enabled=False):  # geometry keeps its precision
            counts = torch.bincount(protein).tolist()
            wanted = zip(points.split(counts), normals.split(counts), scores.split(counts), strict=True)
            pull = torch.cat([_pull(x, n, s, radius) for x, n, s in wanted])
            basis = tangent_basis(normals)
            along = (basis @ pull[..., None])[..., 0]
            along = along * (along.square().sum(-1, keepdim=True) + _SMALLEST**2).rsqrt()
            cosine, sine = along[:, :1], along[:, 1:]
            u, v = basis.unbind(-2)
            frames = torch.stack([normals, cosine * u + sine * v, -sine * u + cosine * v], 1)
        return cls(points, normals, frames, protein, radius)


def _pull(points: Tensor, normals: Tensor, scores: Tensor, radius: float) -> Tensor:
    """(M, 3) where the scores of its neighbours draw each point of one protein."""

    def rows(x_i: Tensor, n_i: Tensor) -> Tensor:
        displacement = points[None] - x_i[:, None]
        distance = quasi_geodesic_distance(displacement, n_i[:, None], normals[None]) / radius
        weights = torch.exp(-distance.square()) * scores
        return (weights[:, None] @ displacement)[:, 0]

    return _a_few_at_a_time(rows, (points, normals), values_per_row=4 * len(points))


def _a_few_at_a_time(rows: Callable[..., Tensor], parts: Sequence[Tensor], *, values_per_row: int) -> Tensor:
    """``rows`` of all rows of the parts, in pieces whose inner values the backward pass computes again."""
    step = max(_ELEMENTS // values_per_row, 1)
    pieces = zip(*(part.split(step) for part in parts), strict=True)
    if not torch.is_grad_enabled():
        return torch.cat([rows(*piece) for piece in pieces])
    return torch.cat([checkpoint(rows, *piece, use_reentrant=False, preserve_rng_state=False) for piece in pieces])


class QuasiGeodesicConvolution(nn.Module):
    """f_i = Σ_j exp(-d_ij² / 2σ²) filter(R_i (x_j - x_i) / √2 σ) ⊙ f_j, between two MLPs with normalisation.

    The sum runs over all points of the protein, i too.
    """

    def __init__(self, width_in: int, hidden: int, width_out: int) -> None:
        super().__init__()
        self.into = _mlp(width_in, hidden)
        self.into_norm = ProteinGroupNorm(hidden, math.gcd(4, hidden))
        self.cuts = _Affine(3, _CUTS)
        self.filter = _Affine(_CUTS, hidden)
        self.out = _mlp(hidden, width_out)
        self.out_norm = ProteinGroupNorm(width_out, math.gcd(4, width_out))
        self._spread_filters()

    def _spread_filters(self) -> None:
        """Cuts of random directions at random places: PyTorch's own start has them all near the origin."""
        with torch.no_grad():
            self.cuts.weight.normal_()
            self.cuts.bias.uniform_().mul_(0.8 * self.cuts.weight.norm(dim=1))
            self.filter.weight.uniform_(-(_CUTS**-0.5), _CUTS**-0.5)
            self.filter.bias.normal_().mul_(0.5 * self.filter.weight.norm(dim=1))

    def forward(self, surface: FramedSurface, features: Tensor) -> Tensor:
        """(P, width_in) to (P, width_out)."""
        values = self.into_norm(self.into(features), surface.protein)
        counts = surface.counts()
        parts = (part.split(counts) for part in (surface.points, surface.normals, surface.frames, values))
        summed = [self._one_protein(x, n, r, v, surface.radius) for x, n, r, v in zip(*parts, strict=True)]
        return self.out_norm(self.out(torch.cat(summed)), surface.protein)

    def _one_protein(self, points: Tensor, normals: Tensor, frames: Tensor, values: Tensor, radius: float) -> Tensor:
        """(M, hidden) sums over the points of one protein."""

        def rows(x_i: Tensor, n_i: Tensor, frames: Tensor) -> Tensor:
            return self._rows(x_i, n_i, frames, points, normals, values, radius)

        return _a_few_at_a_time(rows, (points, normals, frames), values_per_row=values.numel())

    def _rows(
        self, x_i: Tensor, n_i: Tensor, frames: Tensor, x: Tensor, n: Tensor, values: Tensor, radius: float
    ) -> Tensor:
        """(m, hidden) sums at m of the M points of one protein."""
        with torch.autocast(x.device.type, enabled=False):
            distance = torch.cdist(x_i, x, compute_mode="donot_use_mm_for_euclid_dist") * (2 - n_i @ n.T)
            window = torch.exp(-distance.square() / (2 * radius**2))
            directions = self.cuts.weight @ frames / (math.sqrt(2) * radius)  # (m, cuts, 3)
            directions = directions.transpose(0, 1)
            start = self.cuts.bias[:, None] - (directions * x_i).sum(-1)
            cuts = torch.relu(directions @ x.T + start[..., None])  # (cuts, m, M)
            # the window is positive: within the ReLU of the filter it costs a fraction of what it would behind it
            cuts = torch.cat([cuts * window, window[None]]).flatten(1)
        outer = torch.cat([self.filter.weight, self.filter.bias[:, None]], 1)
        filters = torch.relu(outer @ cuts).unflatten(1, window.shape)  # (hidden, m, M)
        # a matrix of one row on the left is several times faster than one of one column on the right
        return torch.bmm(values.T[:, None], filters.transpose(1, 2))[:, 0].T


class _Affine(nn.Module):
    """Weight and bias of a linear map; not nn.Linear, whose values the router sets anew: these are set here."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width_out, width_in))
        self.bias = nn.Parameter(torch.empty(width_out))


def _mlp(width_in: int, width_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(width_in, width_out), nn.LeakyReLU(0.2), nn.Linear(width_out, width_out), nn.LeakyReLU(0.2)
    )
