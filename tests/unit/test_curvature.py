"""Curvatures of shapes whose curvatures are known."""

import builders
import pytest
import torch
from e3nn import o3

from moedsr.geometry.curvature import curvatures


def one_protein(points: torch.Tensor) -> torch.Tensor:
    return torch.zeros(len(points), dtype=torch.long)


def even_sphere(count: int) -> torch.Tensor:
    """Unit vectors on a Fibonacci spiral."""
    index = torch.arange(count, dtype=torch.float64)
    height = 1 - (2 * index + 1) / count
    angle = index * torch.pi * (3 - 5**0.5)
    radius = (1 - height.square()).sqrt()
    return torch.stack([radius * angle.cos(), radius * angle.sin(), height], 1)


@pytest.mark.parametrize("radius", [5.0, 8.0])
def test_sphere(radius: float) -> None:
    normals = even_sphere(1500)
    trace, determinant = curvatures(radius * normals, normals, one_protein(normals), [1.0]).unbind(1)
    torch.testing.assert_close(trace, torch.full_like(trace, 2 / radius), atol=0, rtol=0.06)
    torch.testing.assert_close(determinant, torch.full_like(trace, radius**-2), atol=0, rtol=0.12)
    inside = curvatures(radius * normals, -normals, one_protein(normals), [1.0])
    torch.testing.assert_close(inside[:, 0], -trace, atol=1e-10, rtol=0)


def test_plane_and_lone_points_are_flat() -> None:
    square = torch.cartesian_prod(torch.arange(6.0), torch.arange(6.0))
    points = torch.nn.functional.pad(square, (0, 1)).double()
    normals = torch.tensor([[0.0, 0.0, 1.0]]).double().expand_as(points)
    far = torch.tensor([[100.0, 0.0, 0.0]]).double()
    protein = torch.cat([one_protein(points), torch.tensor([1])])
    flat = curvatures(torch.cat([points, far]), torch.cat([normals, normals[:1]]), protein, [1.0, 3.0])
    torch.testing.assert_close(flat, torch.zeros(37, 4).double(), atol=1e-12, rtol=0)


def test_turning_changes_nothing() -> None:
    proteins = builders.make_proteins((150, 20))
    turned = builders.rotated(proteins, o3.rand_matrix(dtype=torch.float64), torch.ones(3).double())
    before, after = (curvatures(p.points, p.normals, p.point_protein, [2.0, 10.0]) for p in (proteins, turned))
    torch.testing.assert_close(after, before, atol=1e-10, rtol=0)
