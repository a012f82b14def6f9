"""The orthonormal part of a matrix, by Newton-Schulz iteration."""

import torch
from torch import Tensor

_ITERATIONS = 22  # a singular value of 1/1000 of the whole still becomes one


def polar_factor(matrix: Tensor) -> Tensor:
    """M (MᵀM)^(-1/2) of matrices (..., rows, columns), rows ≥ columns: orthonormal columns that span the same space.

    Turning the columns' space turns the result alike. Unlike an eigendecomposition this has a finite gradient when
    singular values coincide, and a matrix without full rank gives a result without full rank: zero stays zero.
    """
    norm = torch.linalg.vector_norm(matrix, dim=(-2, -1), keepdim=True)
    result = matrix / norm.clamp_min(torch.finfo(matrix.dtype).eps)
    for _ in range(_ITERATIONS):
        result = 1.5 * result - 0.5 * result @ (result.mT @ result)
    return result
