"""Polar factors."""

import pytest
import torch

from moedsr.models.experts.polar import polar_factor


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (5, 3), (40, 7), (7, 7)])
def test_columns_are_orthonormal(rows: int, columns: int) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(10, rows, columns, dtype=torch.float64) + 0.5
    factor = polar_factor(matrix)
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    assert torch.linalg.cond(matrix).max() < 300
    torch.testing.assert_close(factor, u @ v, atol=1e-9, rtol=0)


def test_turns_with_its_columns() -> None:
    matrix, (turn, _) = torch.randn(6, 3).double(), torch.linalg.qr(torch.randn(3, 3).double())
    torch.testing.assert_close(polar_factor(matrix @ turn), polar_factor(matrix) @ turn, atol=1e-12, rtol=0)


@pytest.mark.parametrize("matrix", [torch.zeros(4, 3), torch.ones(4, 3), torch.eye(4, 3)])
def test_gradient_is_finite_whatever_the_rank(matrix: torch.Tensor) -> None:
    matrix = matrix.clone().requires_grad_()
    factor = polar_factor(matrix)
    factor.square().sum().backward()
    assert torch.isfinite(factor).all()
    assert torch.isfinite(matrix.grad).all()
