"""X-Conv against plain loops over points and neighbours with the same weights."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from moedsr.models.router.encoders._cloud import Cloud
from moedsr.models.router.encoders.pointcnn import XConv


def plain_x_conv(weights: dict[str, Tensor], offset: Tensor, neighbours: Tensor) -> Tensor:
    """One centre: offsets (k, 3) and features (k, C) of its neighbours."""
    k = len(offset)
    lifted = []
    for row in offset:
        inner = F.elu(weights["lift.0.weight"] @ row + weights["lift.0.bias"])
        lifted.append(F.elu(weights["lift.2.weight"] @ inner + weights["lift.2.bias"]))
    values = torch.cat([torch.stack(lifted), neighbours], 1)
    matrix = F.elu(weights["matrix.weight"] @ offset.reshape(-1) + weights["matrix.bias"]).reshape(k, k)
    matrix = F.elu(plain_depthwise(matrix, weights["matrix_inner.weight"], weights["matrix_inner.bias"]))
    matrix = plain_depthwise(matrix, weights["matrix_outer.weight"], weights["matrix_outer.bias"])
    weighed = plain_depthwise(matrix @ values, weights["depthwise.weight"], weights["depthwise.bias"])
    result = F.elu(weights["pointwise.weight"] @ weighed.reshape(-1) + weights["pointwise.bias"])
    return F.layer_norm(result, result.shape, weights["norm.weight"], weights["norm.bias"])


def plain_depthwise(values: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    rows = []
    for channel in range(values.shape[1]):
        total = bias[channel]
        for slot in range(values.shape[0]):
            total = total + values[slot, channel] * weight[channel, slot]
        rows.append(total)
    return torch.stack(rows)


def make(dtype: torch.dtype, sizes: tuple[int, ...]) -> tuple[Cloud, Tensor, XConv]:
    torch.manual_seed(0)
    protein = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    cloud = Cloud(torch.randn(sum(sizes), 3, dtype=dtype), protein)
    layer = XConv(6, 10, lifted=3, k=5, dilation=2, multiplier=2).to(dtype)
    return cloud, torch.randn(sum(sizes), 6, dtype=dtype), layer


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_x_conv_is_that_of_plain_loops(dtype: torch.dtype, tolerance: float) -> None:
    cloud, features, layer = make(dtype, (30, 14))
    centres, index = cloud.thinned(0.5)
    expected = []
    for centre in index:
        distance = (cloud.positions - cloud.positions[centre]).norm(dim=1)
        own = (cloud.protein == cloud.protein[centre]).nonzero()[:, 0]
        chosen = own[distance[own].argsort()][: 5 * 2 : 2]
        offset = cloud.positions[chosen] - cloud.positions[centre]
        expected.append(plain_x_conv(dict(layer.named_parameters()), offset, features[chosen]))
    result = layer(cloud, features, centres)
    torch.testing.assert_close(result, torch.stack(expected), atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("size", [1, 2, 6, 9])
def test_a_small_protein_fills_the_slots_from_the_start(size: int) -> None:
    cloud, features, layer = make(torch.float64, (size, 30))
    weights = dict(layer.named_parameters())
    order = (cloud.positions[:size] - cloud.positions[0]).norm(dim=1).argsort()
    chosen = torch.stack([order[(2 * slot) % size] for slot in range(5)])
    expected = plain_x_conv(weights, cloud.positions[chosen] - cloud.positions[0], features[chosen])
    torch.testing.assert_close(layer(cloud, features, cloud)[0], expected, atol=1e-10, rtol=0)
