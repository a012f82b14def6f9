"""Point Transformer (H. Zhao et al., ICCV 2021): vector attention among neighbours."""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from moedsr.config import RouterConfig
from moedsr.models.router.encoders._cloud import (
    Cloud,
    CoordinateEncoder,
    Neighbourhood,
    gather,
    input_features,
    shared_mlp,
)

_SHARED = 8  # channels in so many groups share their attention weights
_POSITION_HIDDEN = 16


class PointTransformer(CoordinateEncoder):
    """Four stages of one block each; every stage but the first keeps a quarter of the points.

    LayerNorm stands for BatchNorm. The network of the offsets has none, since it would erase their length.
    """

    def __init__(self, config: RouterConfig) -> None:
        c = config.hidden_channels
        super().__init__(config, channels=8 * c)
        self.embed = shared_mlp(3 + input_features(config), c)
        self.first = PointTransformerBlock(c, k=8)
        widths = (c, 2 * c, 4 * c, 8 * c)
        self.down = nn.ModuleList(TransitionDown(*pair) for pair in pairwise(widths))
        self.blocks = nn.ModuleList(PointTransformerBlock(width, k=16) for width in widths[1:])

    def encode(self, cloud: Cloud, features: Tensor) -> tuple[Cloud, Tensor]:
        """One of 64 points, but at least 16, and features (Q, channels)."""
        features = self.first(cloud, self.embed(torch.cat([cloud.positions, features], -1)))
        for down, block in zip(self.down, self.blocks, strict=True):
            cloud, features = down(cloud, features)
            features = block(cloud, features)
        return cloud, features


class TransitionDown(nn.Module):
    """A quarter of the points, each with the maximum over its 16 neighbours of an MLP of offset and features."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.mlp = shared_mlp(3 + width_in, width_out)

    def forward(self, cloud: Cloud, features: Tensor) -> tuple[Cloud, Tensor]:
        """A thinner cloud and its features (Q, width_out), from features (P, width_in)."""
        centres, _ = cloud.thinned(0.25)
        around = cloud.around(centres, 16)
        return centres, self.mlp(torch.cat([around.offset, gather(features, around.index)], -1)).amax(1)


class PointTransformerBlock(nn.Module):
    """Linear map, attention, linear map, and around them the features themselves."""

    def __init__(self, width: int, k: int) -> None:
        super().__init__()
        self.k = k
        self.before = shared_mlp(width, width)
        self.attention = VectorAttention(width)
        self.between = nn.Sequential(nn.LayerNorm(width), nn.ReLU())
        self.after = nn.Sequential(nn.Linear(width, width), nn.LayerNorm(width))

    def forward(self, cloud: Cloud, features: Tensor) -> Tensor:
        """(P, width) to the same."""
        attended = self.attention(self.before(features), cloud.around(cloud, self.k))
        return torch.relu(features + self.after(self.between(attended)))


class VectorAttention(nn.Module):
    """y_i = Σ_j softmax_j(γ(k_j − q_i + δ_ij)) ⊙ (v_j + δ_ij), with δ_ij an MLP of p_j − p_i.

    A weight serves ``_SHARED`` channels, or as many as divide the width.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.shared = math.gcd(width, _SHARED)
        weights = width // self.shared
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.position = nn.Sequential(nn.Linear(3, _POSITION_HIDDEN), nn.ReLU(), nn.Linear(_POSITION_HIDDEN, width))
        # the softmax over neighbours would not see a bias at the end
        self.weigh = nn.Sequential(
            nn.LayerNorm(width),
            nn.ReLU(),
            nn.Linear(width, max(weights, 8)),  # a single unit behind a ReLU may never fire
            nn.ReLU(),
            nn.Linear(max(weights, 8), weights, bias=False),
        )

    def forward(self, features: Tensor, around: Neighbourhood) -> Tensor:
        """(P, width) to the same, from the neighbours of each point."""
        offset = self.position(around.offset)
        relation = gather(self.key(features), around.index) - self.query(features)[:, None] + offset
        scores = self.weigh(relation).masked_fill(~around.mask[..., None], -torch.inf)
        weights = torch.softmax(scores, dim=1)[:, :, None]
        values = gather(self.value(features), around.index) + offset
        # channel s * (width / shared) + g takes weight g
        return (values.unflatten(-1, (self.shared, -1)) * weights).sum(1).flatten(1)
