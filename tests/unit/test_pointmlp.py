"""A stage of PointMLP against plain loops over points and neighbours with the same weights."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from moedsr.models.router.encoders._cloud import Cloud
from moedsr.models.router.encoders.pointmlp import ResidualBlock, Stage

PRECISIONS = [(torch.float32, 1e-5), (torch.float64, 1e-10)]


def linear_norm(weights: dict[str, Tensor], first: str, values: Tensor) -> Tensor:
    """A linear map and the normalisation that follows it, ``name.0`` and ``name.1``."""
    mapped = weights[f"{first}.0.weight"] @ values + weights[f"{first}.0.bias"]
    return F.layer_norm(mapped, mapped.shape, weights[f"{first}.1.weight"], weights[f"{first}.1.bias"])


def plain_block(weights: dict[str, Tensor], name: str, values: Tensor) -> Tensor:
    inner = F.relu(linear_norm(weights, f"{name}inner", values))
    return F.relu(values + linear_norm(weights, f"{name}outer", inner))


def plain_stage(weights: dict[str, Tensor], cloud: Cloud, features: Tensor, k: int, blocks: int) -> Tensor:
    _, index = cloud.thinned(0.5)
    rows = []
    for protein in cloud.protein.unique():
        own = (cloud.protein == protein).nonzero()[:, 0]
        groups = []
        for centre in (i for i in index if cloud.protein[i] == protein):
            distance = (cloud.positions[own] - cloud.positions[centre]).norm(dim=1)
            groups.append((features[centre], features[own[distance.argsort()][:k]] - features[centre]))
        everything = torch.cat([difference.flatten() for _, difference in groups])
        deviation = torch.sqrt(((everything - everything.mean()) ** 2).mean() + 1e-10)
        for anchor, differences in groups:
            pooled = torch.full_like(anchor, -torch.inf)
            for difference in differences:
                normalised = difference / deviation * weights["affine.alpha"] + weights["affine.beta"]
                row = F.relu(linear_norm(weights, "transfer", torch.cat([normalised, anchor])))
                for number in range(blocks):
                    row = plain_block(weights, f"before.{number}.", row)
                pooled = row if pooled.isinf().all() else torch.maximum(pooled, row)
            for number in range(blocks):
                pooled = plain_block(weights, f"after.{number}.", pooled)
            rows.append(pooled)
    return torch.stack(rows)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_residual_block(dtype: torch.dtype, tolerance: float) -> None:
    torch.manual_seed(0)
    block, values = ResidualBlock(16).to(dtype), torch.randn(10, 16, dtype=dtype)
    expected = torch.stack([plain_block(dict(block.named_parameters()), "", row) for row in values])
    torch.testing.assert_close(block(values), expected, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_stage_is_that_of_plain_loops(dtype: torch.dtype, tolerance: float) -> None:
    """Among the proteins one with fewer points than neighbours and one of a single point."""
    torch.manual_seed(0)
    protein = torch.repeat_interleave(torch.arange(3), torch.tensor([30, 10, 1]))
    cloud, features = Cloud(torch.randn(41, 3, dtype=dtype), protein), torch.randn(41, 8, dtype=dtype)
    stage = Stage(8, 16, 2).to(dtype).requires_grad_(False)
    torch.nn.init.normal_(stage.affine.alpha)
    torch.nn.init.normal_(stage.affine.beta)
    expected = plain_stage(dict(stage.named_parameters()), cloud, features, k=24, blocks=2)
    torch.testing.assert_close(stage(cloud, features)[1], expected, atol=tolerance, rtol=tolerance)
