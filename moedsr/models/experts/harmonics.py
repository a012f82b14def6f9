"""Ψ(x): coordinates as scaled spherical harmonics, with their Jacobian written out.

Ψ_l(x) = r^(1-l) S_l(x), where S_l are the solid harmonics (polynomials of degree l, |S_l(x)| = |x|^l) and
r = √(|x|² + ε²). All degrees together are divided by √(number of degrees), so that |Ψ(x)| ≈ |x|, which the geometric
initialisation of the experts needs. ε > 0 keeps Ψ infinitely differentiable at the origin, where degrees other than
one have a kink.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from moedsr.config import HARMONIC_CHANNELS

_S3, _S5, _S6, _S10, _S15 = (value**0.5 for value in (3.0, 5.0, 6.0, 10.0, 15.0))


def _stack(*rows: Tensor) -> Tensor:
    return torch.stack(torch.broadcast_tensors(*rows), dim=-1)


def _degree_0(x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    return _stack(one), _stack(zero, zero, zero).unsqueeze(-2)


def _degree_1(x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    rows = (_stack(one, zero, zero), _stack(zero, one, zero), _stack(zero, zero, one))
    return _stack(x, y, z), torch.stack(rows, dim=-2)


def _degree_2(x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    zero = torch.zeros_like(x)
    value = _stack(_S3 * x * z, _S3 * x * y, y * y - (x * x + z * z) / 2, _S3 * y * z, _S3 / 2 * (z * z - x * x))
    rows = (
        _stack(_S3 * z, zero, _S3 * x),
        _stack(_S3 * y, _S3 * x, zero),
        _stack(-x, 2 * y, -z),
        _stack(zero, _S3 * z, _S3 * y),
        _stack(-_S3 * x, zero, _S3 * z),
    )
    return value, torch.stack(rows, dim=-2)


def _degree_3(x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    xx, yy, zz, zero = x * x, y * y, z * z, torch.zeros_like(x)
    a, b, c = _S10 / 4, _S15, _S6 / 4
    value = _stack(
        a * x * (3 * zz - xx),
        b * x * y * z,
        c * x * (4 * yy - xx - zz),
        y * (2 * yy - 3 * xx - 3 * zz) / 2,
        c * z * (4 * yy - xx - zz),
        b / 2 * y * (zz - xx),
        a * z * (zz - 3 * xx),
    )
    rows = (
        _stack(3 * a * (zz - xx), zero, 6 * a * x * z),
        _stack(b * y * z, b * x * z, b * x * y),
        _stack(c * (4 * yy - 3 * xx - zz), 8 * c * x * y, -2 * c * x * z),
        _stack(-3 * x * y, 3 * yy - 1.5 * (xx + zz), -3 * y * z),
        _stack(-2 * c * x * z, 8 * c * y * z, c * (4 * yy - xx - 3 * zz)),
        _stack(-b * x * y, b / 2 * (zz - xx), b * y * z),
        _stack(-6 * a * x * z, zero, 3 * a * (zz - xx)),
    )
    return value, torch.stack(rows, dim=-2)


_SOLID: tuple[Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]], ...] = (
    _degree_0,
    _degree_1,
    _degree_2,
    _degree_3,
)


class Harmonics(nn.Module):
    """Ψ(x) and its Jacobian.

    Args:
        channels: φ_SH, a key of HARMONIC_CHANNELS; 3 gives plain x.
        epsilon: smoothing length at the origin, in the unit of x.
    """

    def __init__(self, channels: int, epsilon: float) -> None:
        super().__init__()
        self.degrees = HARMONIC_CHANNELS[channels]
        self.channels = channels
        self.epsilon = epsilon

    def forward(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Ψ (..., φ_SH) and ∂Ψ/∂x (..., φ_SH, 3) at points (..., 3)."""
        x, y, z = points.unbind(-1)
        square = (points * points).sum(-1) + self.epsilon**2
        radius = square.clamp_min(torch.finfo(points.dtype).tiny).sqrt()[..., None]
        values, jacobians = [], []
        for degree in self.degrees:
            solid, slope = _SOLID[degree](x, y, z)
            factor = radius ** (1 - degree)
            # ∂ r^(1-l) / ∂x = (1 - l) r^(-1-l) x
            stretch = (1 - degree) * (radius ** (-1 - degree) * solid)[..., None] * points[..., None, :]
            values.append(factor * solid)
            jacobians.append(factor[..., None] * slope + stretch)
        norm = len(self.degrees) ** -0.5
        return torch.cat(values, -1) * norm, torch.cat(jacobians, -2) * norm
