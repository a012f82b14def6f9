"""The signed distance to P0's surface at any point, twice differentiable inside its grid, once anywhere."""

import torch
from torch import Tensor

from moedsr.batch import InitialDistances


def initial_distance(
    distances: InitialDistances, protein: Tensor, points: Tensor, *, gradient: bool
) -> tuple[Tensor, Tensor | None]:
    """Cubic splines on the grids of n proteins, continued linearly along each axis beyond them.

    Args:
        distances: of a batch of proteins.
        protein: (n,) int64, which of them.
        points: (n, N, 3) Å.
        gradient: whether it is wanted.

    Returns:
        value (n, N) in Å, and gradient (n, N, 3) or None.
    """
    frame, spacing = distances.frame[protein], distances.spacing[protein, None, None]
    shape = distances.shape[protein, None]
    place = (points @ frame.mT - distances.origin[protein, None]) / spacing
    # the four nodes around a place must exist; what lies beyond is added as a straight line
    inside = torch.minimum(place.clamp_min(1), shape - 2)
    lower = torch.minimum(inside.detach().floor().long(), shape - 3)
    weights, slopes = _basis(inside - lower)
    weights = weights + (place - inside)[..., None] * slopes
    taps = lower[..., None] + torch.arange(-1, 3, device=points.device)  # (n, N, 3, 4)
    x, y, z = taps.unbind(-2)
    _, rows, columns = shape[..., None].unbind(-2)
    index = ((x * rows)[..., :, None] + y[..., None, :])[..., None] * columns[..., None, None] + z[..., None, None, :]
    nodes = distances.coefficients[distances.start[protein, None, None, None, None] + index]  # (n, N, 4, 4, 4)
    wx, wy, wz = weights.unbind(-2)
    if not gradient:
        return _along(_along(_along(nodes, wz), wy), wx), None
    sx, sy, sz = slopes.unbind(-2)
    on_z, slope_z = _along(nodes, wz), _along(nodes, sz)
    on_zy = _along(on_z, wy)
    local = [_along(on_zy, sx), _along(_along(on_z, sy), wx), _along(_along(slope_z, wy), wx)]
    return _along(on_zy, wx), torch.stack(local, -1) @ frame / spacing


def _along(nodes: Tensor, weights: Tensor) -> Tensor:
    """Contract the last axis of (n, N, …, 4) with weights (n, N, 4)."""
    return (nodes * weights.view(*weights.shape[:2], *[1] * (nodes.dim() - 3), 4)).sum(-1)


def _basis(fraction: Tensor) -> tuple[Tensor, Tensor]:
    """Cubic B-splines (..., 4) of the nodes at -1, 0, 1, 2 for a place (...) in [0, 1], and their slopes."""
    f, rest = fraction, 1 - fraction
    weights = [rest**3 / 6, (3 * f**3 - 6 * f**2 + 4) / 6, (3 * rest**3 - 6 * rest**2 + 4) / 6, f**3 / 6]
    slopes = [-(rest**2) / 2, (3 * f**2 - 4 * f) / 2, -(3 * rest**2 - 4 * rest) / 2, f**2 / 2]
    return torch.stack(weights, -1), torch.stack(slopes, -1)
