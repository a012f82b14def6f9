"""Set abstraction against a plain loop over balls with the same weights."""

import pytest
import torch
from torch.nn import functional as F

from moedsr.models.router.encoders._cloud import Cloud
from moedsr.models.router.encoders.pointnet2 import SetAbstraction


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
@pytest.mark.parametrize("k", [5, 100])
def test_set_abstraction_is_that_of_a_plain_loop(dtype: torch.dtype, tolerance: float, k: int) -> None:
    """Balls with more points than taken, and with fewer."""
    torch.manual_seed(0)
    protein = torch.repeat_interleave(torch.arange(3), torch.tensor([40, 10, 1]))
    cloud, features = Cloud(torch.randn(51, 3, dtype=dtype), protein), torch.randn(51, 6, dtype=dtype)
    layer = SetAbstraction((6, 8, 12), ratio=0.5, radius=1.0, k=k).to(dtype)
    expected = []
    for centre in cloud.thinned(0.5)[1]:
        offsets = cloud.positions - cloud.positions[centre]
        distance = offsets.norm(dim=1)
        ball = [j for j in distance.argsort() if protein[j] == protein[centre] and distance[j] <= 1.0][:k]
        rows = []
        for j in ball:
            row = torch.cat([offsets[j], features[j]])
            for first in (0, 3):
                linear, norm = layer.mlp[first], layer.mlp[first + 1]
                row = linear.weight @ row + linear.bias
                row = F.relu(F.layer_norm(row, row.shape, norm.weight, norm.bias))
            rows.append(row)
        expected.append(torch.stack(rows).amax(0))
    torch.testing.assert_close(layer(cloud, features)[1], torch.stack(expected), atol=tolerance, rtol=tolerance)
