"""Functions of P0 at any point, its signed distance above all, once continuously differentiable everywhere."""

import torch
from torch import Tensor

from moedsr.batches.batch import InitialDistances, SplineGrids

_BAND = (0.75, 1.75)  # Å from the surface, between which the near grid gives way to the far one

_BLOCK = 16_384  # points at once


def initial_distance(distances: InitialDistances, protein: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Near the surface from the fine grid, elsewhere from the coarse one, blended without a kink.

    Args:
        distances: of a batch of proteins.
        protein: (n,) int64, which of them.
        points: (n, N, 3) Å.

    Returns:
        value (n, N) in Å, positive outside, and gradient (n, N, 3).
    """
    shape = points.shape[:2]
    owner = protein.repeat_interleave(shape[1])
    flat = points.flatten(0, 1)
    far, far_slope = spline(distances.far, owner, flat)
    close = (far.detach().abs() < _BAND[1]).nonzero()[:, 0]
    near, near_slope = spline(distances.near, owner[close], flat[close])
    far_close, far_close_slope = far[close], far_slope[close]
    place = ((far_close.abs() - _BAND[0]) / (_BAND[1] - _BAND[0])).clamp_min(0)
    share = place**3 * (10 + place * (6 * place - 15))  # of the far grid: 0 to 1, flat at both ends
    share_slope = 30 * (place * (1 - place)) ** 2 / (_BAND[1] - _BAND[0]) * far_close.sign()
    value = near + share * (far_close - near)
    slope = near_slope + share[:, None] * (far_close_slope - near_slope)
    slope = slope + ((far_close - near) * share_slope)[:, None] * far_close_slope
    return far.index_put((close,), value).view(shape), far_slope.index_put((close,), slope).view(*shape, 3)


def spline(grids: SplineGrids, protein: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Cubic splines at points (M, 3) Å of proteins (M,): value (M,) in Å and gradient (M, 3).

    Beyond its grid a spline goes on linearly along each axis.
    """
    index, weights, slopes = _nodes(grids, protein, points)
    nodes = grids.coefficients[index]  # (M, 4, 4, 4)
    # contracted axis by axis, each with weights and with slopes
    along = torch.stack([weights, slopes], -1)  # (M, axis, 4, 2)
    on_z = nodes.flatten(1, 2) @ along[:, 2]  # (M, 16, 2)
    on_y = along[:, 1].mT @ on_z.unflatten(1, (4, 4)).transpose(1, 2).flatten(2)  # (M, 2, 4·2)
    on_x = along[:, 0].mT @ on_y.unflatten(2, (4, 2)).transpose(1, 2).flatten(2)  # (M, 2, 2·2): x, then y and z
    slope = torch.stack([on_x[:, 1, 0], on_x[:, 0, 2], on_x[:, 0, 1]], -1)
    return on_x[:, 0, 0], (slope[:, None] @ grids.frame[protein])[:, 0] / grids.spacing[protein, None]


def splines(grids: SplineGrids, protein: Tensor, points: Tensor, *, gradient: bool) -> tuple[Tensor, Tensor | None]:
    """Several splines on the same grid: values (M, C) and gradients (M, C, 3), or None; else as ``spline``."""
    blocks = [
        _splines(grids, owner, block, gradient=gradient)
        for owner, block in zip(protein.split(_BLOCK), points.split(_BLOCK), strict=True)
    ]
    values, slopes = zip(*blocks, strict=True)
    return torch.cat(values), torch.cat(slopes) if gradient else None


def _splines(grids: SplineGrids, protein: Tensor, points: Tensor, *, gradient: bool) -> tuple[Tensor, Tensor | None]:
    index, weights, slopes = _nodes(grids, protein, points)
    # the weights of the 64 nodes, alone and with the slopes of one axis
    along = [weights.unbind(1)]
    if gradient:
        along += [
            (*weights[:, :axis].unbind(1), slopes[:, axis], *weights[:, axis + 1 :].unbind(1)) for axis in range(3)
        ]
    products = [(x[:, :, None, None] * y[:, None, :, None] * z[:, None, None]).flatten(1) for x, y, z in along]
    nodes = grids.coefficients[index.flatten(1)]  # (M, 64, C)
    found = torch.stack(products, 1) @ nodes  # (M, 1 or 4, C)
    if not gradient:
        return found[:, 0], None
    turned = found[:, 1:].mT @ grids.frame[protein]
    return found[:, 0], turned / grids.spacing[protein, None, None]


def _nodes(grids: SplineGrids, protein: Tensor, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The nodes around each point: index (M, 4, 4, 4) of the coefficient, weights and their slopes (M, axis, 4)."""
    frame, spacing, shape = grids.frame[protein], grids.spacing[protein, None], grids.shape[protein]
    place = ((frame @ points[..., None])[..., 0] - grids.origin[protein]) / spacing
    # the four nodes around a place must exist; what lies beyond is added as a straight line
    inside = torch.minimum(place.clamp_min(1), (shape - 2).to(place))
    lower = torch.minimum(inside.detach().floor().long(), shape - 3)
    weights, slopes = _basis(inside - lower)
    weights = weights + (place - inside)[..., None] * slopes
    x, y, z = (lower[..., None] + torch.arange(-1, 3, device=points.device)).unbind(1)  # (M, 4) each
    rows = x[:, :, None] * shape[:, 1, None, None] + y[:, None]
    index = rows[..., None] * shape[:, 2, None, None, None] + z[:, None, None]
    return grids.start[protein, None, None, None] + index, weights, slopes


def _basis(fraction: Tensor) -> tuple[Tensor, Tensor]:
    """Cubic B-splines (..., 4) of the nodes at -1, 0, 1, 2 for a place (...) in [0, 1], and their slopes."""
    f, rest = fraction, 1 - fraction
    weights = [rest**3 / 6, (3 * f**3 - 6 * f**2 + 4) / 6, (3 * rest**3 - 6 * rest**2 + 4) / 6, f**3 / 6]
    slopes = [-(rest**2) / 2, (3 * f**2 - 4 * f) / 2, -(3 * rest**2 - 4 * rest) / 2, f**2 / 2]
    return torch.stack(weights, -1), torch.stack(slopes, -1)
