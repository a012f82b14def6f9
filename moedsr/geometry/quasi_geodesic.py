"""Quasi-geodesic distance on a surface cloud (Eq. 2), its neighbours by that distance, and smoothed normals."""

import torch
from torch import Tensor

from moedsr.geometry.neighbours import pairs_within

_ROWS = 1024  # rows of the pairwise matrix held at once


def quasi_geodesic_distance(displacement: Tensor, normal_i: Tensor, normal_j: Tensor) -> Tensor:
    """d_ij = |x_i - x_j| (2 - <n_i, n_j>), Eq. 2; between one and three times the Euclidean distance.

    Args:
        displacement: (..., 3) x_i - x_j in Å.
        normal_i: (..., 3) unit.
        normal_j: (..., 3) unit.

    Returns:
        (...,) Å.
    """
    cosine = (normal_i * normal_j).sum(-1)
    return torch.linalg.vector_norm(displacement, dim=-1) * (2 - cosine)


def quasi_geodesic_pairs(
    *, points: Tensor, normals: Tensor, protein: Tensor, smoothing: float, radius: float
) -> tuple[Tensor, Tensor, Tensor]:
    """All ordered pairs of different points of one protein that are nearer than the radius.

    Args:
        points: (P, 3) Å.
        normals: (P, 3) unit.
        protein: (P,) ascending.
        smoothing: Å, of the normals beforehand.
        radius: Å.

    Returns:
        target (E,) ascending, source (E,), and quasi-geodesic distance (E,) in Å.
    """
    normals = smooth_normals(points, normals, protein, smoothing)
    # d_ij ≥ |x_i - x_j|, so a Euclidean search at the same radius misses nothing
    target, source = pairs_within(points=points, protein=protein, radius=radius)
    distance = quasi_geodesic_distance(points[target] - points[source], normals[target], normals[source])
    near = distance < radius
    return target[near], source[near], distance[near]


def smooth_normals(points: Tensor, normals: Tensor, protein: Tensor, sigma: float) -> Tensor:
    """Gaussian-weighted mean of the normals of one protein, normalised again.

    Where neighbours cancel (a thin sheet), the raw normal is kept.

    Args:
        points: (P, 3) Å.
        normals: (P, 3) unit.
        protein: (P,) protein of each point.
        sigma: Å; 0 returns the normals unchanged.

    Returns:
        (P, 3) unit.
    """
    if sigma == 0:
        return normals
    smoothed = torch.empty_like(normals)
    for index in protein.unique():
        own = protein == index
        x, n = points[own], normals[own]
        with torch.autocast(x.device.type, enabled=False):  # geometry keeps its precision
            sums = [torch.exp(-torch.cdist(rows, x).square() / (2 * sigma**2)) @ n for rows in x.split(_ROWS)]
        smoothed[own] = torch.cat(sums)
    length = torch.linalg.vector_norm(smoothed, dim=-1, keepdim=True)
    return torch.where(length > 1e-6, smoothed / length.clamp_min(1e-6), normals)
