"""Mean and Gaussian curvature of a surface cloud at several scales."""

from collections.abc import Sequence

import torch
from torch import Tensor

from moedsr.geometry.quasi_geodesic import smooth_normals
from moedsr.geometry.tangent_frame import tangent_basis

_REGULARISER = 0.01  # Å², added to the second moments of the tangent offsets; a lone point has curvature 0
_ROWS = 128  # rows of the pairwise matrices held at once


def curvatures(points: Tensor, normals: Tensor, protein: Tensor, scales: Sequence[float]) -> Tensor:
    """The shape operator's trace and determinant, each clamped to [-1, 1], as in dMaSIF.

    With P the tangent components of x_j - x_i and Q those of n_j - n_i, weighted by a Gaussian of the quasi-geodesic
    distance, the operator is (Σ P Pᵀ + 0.01)⁻¹ Σ P Qᵀ. A sphere of radius R has 2 / R and 1 / R². Normals are smoothed
    at each scale.

    Args:
        points: (P, 3) Å.
        normals: (P, 3) unit.
        protein: (P,) ascending.
        scales: Å, standard deviations of the Gaussians.

    Returns:
        (P, 2 * scales): trace in Å⁻¹ and determinant in Å⁻² of each scale in turn; invariant under rotation.
    """
    counts = torch.bincount(protein).tolist()
    columns = []
    for scale in scales:
        smooth = smooth_normals(points, normals, protein, scale)
        parts = []
        for x, n in zip(points.split(counts), smooth.split(counts), strict=True):
            rows = zip(x.split(_ROWS), n.split(_ROWS), strict=True)
            with torch.autocast(x.device.type, enabled=False):  # geometry keeps its precision
                parts += [_invariants(x_i, n_i, x, n, scale) for x_i, n_i in rows]
        columns.append(torch.cat(parts))
    return torch.cat(columns, -1)


def _invariants(x_i: Tensor, n_i: Tensor, x: Tensor, n: Tensor, scale: float) -> Tensor:
    """(m, 2) trace and determinant at m of the M points of one protein."""
    displacement = x.T - x_i[:, :, None]  # (m, 3, M)
    distance = torch.linalg.vector_norm(displacement, dim=1) * (2 - n_i @ n.T)
    weight = torch.exp(-distance.square() / (2 * scale**2))[:, None]
    basis = tangent_basis(n_i)
    offset = basis @ displacement  # P (m, 2, M)
    turn = (basis @ n.T).transpose(1, 2)  # Q (m, M, 2); the tangents at i are normal to n_i
    weighed = offset * weight
    regulariser = _REGULARISER * torch.eye(2, dtype=x.dtype, device=x.device)
    second = weighed @ offset.transpose(1, 2) + regulariser
    mixed = weighed @ turn
    operator = torch.linalg.solve(second, mixed)
    trace = operator.diagonal(dim1=1, dim2=2).sum(-1)
    return torch.stack([trace, torch.linalg.det(operator)], -1).clamp(-1, 1)
