"""Vector attention against plain loops over points, neighbours and channels with the same weights."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from moedsr.models.router.encoders._cloud import Cloud
from moedsr.models.router.encoders.point_transformer import PointTransformerBlock, VectorAttention

PRECISIONS = [(torch.float32, 1e-5), (torch.float64, 1e-10)]


def linear(weights: dict[str, Tensor], name: str, values: Tensor) -> Tensor:
    return weights[f"{name}.weight"] @ values + weights[f"{name}.bias"]


def norm(weights: dict[str, Tensor], name: str, values: Tensor) -> Tensor:
    return F.layer_norm(values, values.shape, weights[f"{name}.weight"], weights[f"{name}.bias"])


def plain_attention(weights: dict[str, Tensor], cloud: Cloud, features: Tensor, k: int, groups: int) -> Tensor:
    """``groups`` channels, ``groups`` apart by the number of weights, share one."""
    rows = []
    for i, position in enumerate(cloud.positions):
        own = (cloud.protein == cloud.protein[i]).nonzero()[:, 0]
        nearest = own[(cloud.positions[own] - position).norm(dim=1).argsort()][:k]
        query, scores, values = linear(weights, "query", features[i]), [], []
        for j in nearest:
            inner = F.relu(linear(weights, "position.0", cloud.positions[j] - position))
            offset = linear(weights, "position.2", inner)
            relation = linear(weights, "key", features[j]) - query + offset
            inner = F.relu(linear(weights, "weigh.2", F.relu(norm(weights, "weigh.0", relation))))
            scores.append(weights["weigh.4.weight"] @ inner)
            values.append(linear(weights, "value", features[j]) + offset)
        row = torch.zeros_like(features[i])
        for channel in range(len(row)):
            group = channel % (len(row) // groups)
            exponentials = [torch.exp(score[group]) for score in scores]
            terms = [e * value[channel] for e, value in zip(exponentials, values, strict=True)]
            row[channel] = sum(terms) / sum(exponentials)
        rows.append(row)
    return torch.stack(rows)


def make_cloud(dtype: torch.dtype) -> tuple[Cloud, Tensor]:
    torch.manual_seed(0)
    protein = torch.repeat_interleave(torch.arange(3), torch.tensor([20, 4, 1]))
    return Cloud(torch.randn(25, 3, dtype=dtype), protein), torch.randn(25, 16, dtype=dtype)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_attention_is_that_of_plain_loops(dtype: torch.dtype, tolerance: float) -> None:
    """Proteins with fewer points than neighbours too."""
    cloud, features = make_cloud(dtype)
    layer = VectorAttention(16).to(dtype).requires_grad_(False)
    expected = plain_attention(dict(layer.named_parameters()), cloud, features, k=6, groups=8)
    result = layer(features, cloud.around(cloud, 6))
    torch.testing.assert_close(result, expected, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_block_adds_to_its_input(dtype: torch.dtype, tolerance: float) -> None:
    cloud, features = make_cloud(dtype)
    block = PointTransformerBlock(16, k=6).to(dtype).requires_grad_(False)
    weights = dict(block.named_parameters())
    before = torch.stack([F.relu(norm(weights, "before.1", linear(weights, "before.0", row))) for row in features])
    own = {name.removeprefix("attention."): w for name, w in weights.items() if name.startswith("attention.")}
    attended = plain_attention(own, cloud, before, k=6, groups=8)
    inner = [F.relu(norm(weights, "between.0", row)) for row in attended]
    after = torch.stack([norm(weights, "after.1", linear(weights, "after.0", row)) for row in inner])
    torch.testing.assert_close(block(cloud, features), F.relu(features + after), atol=tolerance, rtol=tolerance)
