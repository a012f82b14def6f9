"""Tangent bases are right-handed and orthonormal everywhere, the poles included."""

import torch

from moedsr.geometry.tangent_frame import tangent_basis


def test_right_handed_and_orthonormal() -> None:
    random = torch.randn(100, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    poles = torch.tensor([[0, 0, 1], [0, 0, -1], [0, 0, -0.0], [1, 0, 0], [1, 0, -1e-300]], dtype=torch.float64)
    poles[2] = torch.tensor([0.6, 0.8, -0.0])
    normals = torch.nn.functional.normalize(torch.cat([random, poles]), dim=-1)
    frame = torch.cat([tangent_basis(normals), normals[:, None]], 1)
    torch.testing.assert_close(
        frame @ frame.transpose(1, 2), torch.eye(3).double().expand_as(frame), atol=1e-12, rtol=0
    )
    torch.testing.assert_close(torch.linalg.det(frame), torch.ones(len(normals)).double(), atol=1e-12, rtol=0)
