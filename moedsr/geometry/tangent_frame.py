"""Two tangents at each point of a surface."""

import torch
from torch import Tensor


def tangent_basis(normals: Tensor) -> Tensor:
    """Two unit vectors u, v (..., 2, 3) with u × v = n, from unit normals (..., 3).

    Without a branch cut but where n_z changes its sign (T. Duff et al., JCGT 6, 2017). How u and v lie in the tangent
    plane depends on the axes: only what does not change when both turn about n is a property of the surface.
    """
    x, y, z = normals.unbind(-1)
    sign = torch.where(z < 0, -1.0, 1.0).to(normals.dtype)
    a = -1 / (sign + z)
    b = x * y * a
    u = torch.stack([1 + sign * x * x * a, sign * b, -sign * x], -1)
    v = torch.stack([b, sign + y * y * a, -y], -1)
    return torch.stack([u, v], -2)
