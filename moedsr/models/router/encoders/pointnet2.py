"""PointNet++ (C. R. Qi et al., NeurIPS 2017), single-scale grouping."""

import torch
from torch import Tensor, nn

from moedsr.config import RouterConfig
from moedsr.models.router.encoders._cloud import UNIT, Cloud, CoordinateEncoder, gather, input_features, shared_mlp


class PointNet2(CoordinateEncoder):
    """Two set abstractions with balls of σ_d / 2 and σ_d, then an MLP on all that is left.

    LayerNorm stands for BatchNorm: a protein's code must not depend on its batch mates.
    """

    def __init__(self, config: RouterConfig) -> None:
        c = config.hidden_channels
        super().__init__(config, channels=16 * c)
        radius = config.neighborhood_radius / UNIT
        self.near = SetAbstraction((input_features(config), 2 * c, 2 * c, 4 * c), ratio=0.5, radius=radius / 2, k=32)
        self.far = SetAbstraction((4 * c, 4 * c, 4 * c, 8 * c), ratio=0.25, radius=radius, k=64)
        self.everywhere = shared_mlp(3 + 8 * c, 8 * c, 16 * c)

    def encode(self, cloud: Cloud, features: Tensor) -> tuple[Cloud, Tensor]:
        """The quarter of a half of the points, and features (Q, channels)."""
        cloud, features = self.near(cloud, features)
        cloud, features = self.far(cloud, features)
        return cloud, self.everywhere(torch.cat([cloud.positions, features], -1))


class SetAbstraction(nn.Module):
    """Maximum over the points in a ball of an MLP of their offsets and features.

    The ball holds the ``k`` nearest of its points; the published code takes the first k in the order of the file.
    """

    def __init__(self, widths: tuple[int, ...], *, ratio: float, radius: float, k: int) -> None:
        super().__init__()
        self.ratio, self.radius, self.k = ratio, radius, k
        self.mlp = shared_mlp(3 + widths[0], *widths[1:])

    def forward(self, cloud: Cloud, features: Tensor) -> tuple[Cloud, Tensor]:
        """A thinner cloud and its features (Q, widths[-1]), from features (P, widths[0])."""
        centres, _ = cloud.thinned(self.ratio)
        around = cloud.around(centres, self.k)
        inside = torch.linalg.vector_norm(around.offset, dim=-1) <= self.radius
        # the centre itself is always inside, and repeating it does not change a maximum
        index = torch.where(inside, around.index, around.index[:, :1])
        offset = torch.where(inside[..., None], around.offset, around.offset[:, :1])
        return centres, self.mlp(torch.cat([offset, gather(features, index)], -1)).amax(1)
