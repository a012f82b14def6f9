"""What the surface of P0 looks like near a point: invariant features and vectors, with their derivatives."""

from dataclasses import dataclass

import torch
from torch import Tensor

from moedsr.batch import ProteinBatch
from moedsr.geometry.neighbours import neighbours_within

_WIDTHS = 3.0  # standard deviations of the Gaussian within the radius
_FAINT = 1e-2  # weight against which the sum of weights counts: features fade where no cloud point is near
_BLOCK = 8192  # query points at once


@dataclass(frozen=True)
class LocalSurface:
    """Features at N query points of each of B proteins; P features, E vectors."""

    features: Tensor  # (B, N, P) unchanged when protein and point turn and move together
    vectors: Tensor  # (B, N, E, 3) turn with them
    jacobian: Tensor | None  # (B, N, P, 3) of the features, Å⁻¹
    vector_jacobian: Tensor | None  # (B, N, E, 3, 3) of the vectors, Å⁻¹, derivative last


def feature_count(local: tuple[int, ...]) -> int:
    """P for a router with so many local channels of each degree."""
    return 2 * (1 + local[0]) + (local[1] if len(local) > 1 else 0)


def vector_count(local: tuple[int, ...]) -> int:
    """E likewise: the normal, and the router's vectors."""
    return 1 + (local[1] if len(local) > 1 else 0)


def local_surface(
    proteins: ProteinBatch, local: tuple[Tensor, ...], positions: Tensor, *, radius: float, gradient: bool
) -> LocalSurface:
    """Weighted means over the cloud points j near each position x.

    With weights w_j(x), Gaussian and cut off so smoothly at the radius that nothing happens when a point enters or
    leaves, scalars h_j and vectors v_j of the cloud points and d_j = x - x_j: the features are Σ w h, Σ w h <n, d>
    and Σ w <v, d>, that is, each cloud point holds a function linear in x of each channel, and they are blended.

    Args:
        proteins: B of them.
        local: degree l: (C, D_l, 2l+1) features of the cloud points; degrees from 2 on are not used.
        positions: (B, N, 3) Å.
        radius: Å.
        gradient: whether the Jacobians are wanted.
    """
    size, count = positions.shape[:2]
    one = torch.ones_like(proteins.points[:, :1])
    scalars = torch.cat([one, local[0][..., 0]], -1)
    vectors = torch.cat([proteins.normals[:, None], *local[1:2]], 1)
    flat = positions.flatten(0, 1)
    owner = torch.arange(size, device=flat.device).repeat_interleave(count)
    blocks = [
        _blend(
            proteins, scalars, vectors, flat[start : start + _BLOCK], owner[start : start + _BLOCK], radius, gradient
        )
        for start in range(0, len(flat), _BLOCK)
    ]
    parts = [torch.cat(column).unflatten(0, (size, count)) for column in zip(*blocks, strict=True)]
    features, means, *jacobians = parts
    return LocalSurface(features, means, *(jacobians if gradient else (None, None)))


def _blend(
    proteins: ProteinBatch,
    scalars: Tensor,
    vectors: Tensor,
    positions: Tensor,
    owner: Tensor,
    radius: float,
    gradient: bool,
) -> tuple[Tensor, ...]:
    """Features (q, P), vectors (q, E, 3), and their Jacobians if wanted, at positions (q, 3)."""
    index, found = neighbours_within(
        queries=positions.detach(),
        query_protein=owner,
        points=proteins.points,
        point_protein=proteins.point_protein,
        radius=radius,
    )
    away = positions[:, None] - proteins.points[index]  # (q, K, 3)
    weights = _weights(away, found, radius, gradient)  # (q, 1 or 4, K): w, ∂w
    unit = radius / _WIDTHS
    normal = proteins.normals[index]
    height = (normal * away).sum(-1) / unit
    tilted = weights * height[:, None]  # w <n, d>, and its derivative, of which the second half follows
    if gradient:
        tilted = torch.cat([tilted[:, :1], tilted[:, 1:] + (weights[:, 0, :, None] * normal / unit).mT], 1)
    blended = torch.cat([weights, tilted], 1) @ scalars[index]  # (q, 2 or 8, 1 + D_0)
    plain, tilted = blended.chunk(2, 1)
    near = vectors[index]  # (q, K, E, 3)
    along = (near[:, :, 1:] * away[:, :, None]).sum(-1) / unit  # (q, K, D_1)
    count = along.shape[-1]
    turned = weights @ torch.cat([along, near.flatten(2)], -1)  # (q, 1 or 4, D_1 + 3 E)
    mean = turned[:, :, count:].unflatten(-1, (-1, 3))  # (q, 1 or 4, E, 3)
    features = torch.cat([plain[:, 0], tilted[:, 0], turned[:, 0, :count]], -1)
    if not gradient:
        return features, mean[:, 0]
    along_slope = turned[:, 1:, :count].mT + mean[:, 0, 1:] / unit
    jacobian = torch.cat([plain[:, 1:].mT, tilted[:, 1:].mT, along_slope], 1)
    return features, mean[:, 0], jacobian, mean[:, 1:].permute(0, 2, 3, 1)


def _weights(away: Tensor, found: Tensor, radius: float, gradient: bool) -> Tensor:
    """Weights of neighbours at displacements (q, K, 3), and their derivatives by position: (q, 4, K); (q, 1, K) alone.

    Functions of the squared distance alone, so that coincident points do no harm.
    """
    square = away.square().sum(-1) / radius**2
    room = (1 - square).clamp_min(0) * found
    gauss = torch.exp(-square * (_WIDTHS**2 / 2))
    raw = (gauss * room**3)[:, None]
    total = raw.sum(-1, keepdim=True) + _FAINT
    weight = raw / total
    if not gradient:
        return weight
    by_square = gauss * room**2 * (-(_WIDTHS**2) / 2 * room - 3)
    raw_slope = (by_square * (2 / radius**2))[:, None] * away.mT
    slope = (raw_slope - weight * raw_slope.sum(-1, keepdim=True)) / total
    return torch.cat([weight, slope], 1)
