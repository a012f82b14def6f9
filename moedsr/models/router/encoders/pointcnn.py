"""PointCNN (Y. Li et al., NeurIPS 2018): convolutions on neighbourhoods put in order by a learned matrix (X-Conv)."""

import torch
from torch import Tensor, nn

from moedsr.config import RouterConfig
from moedsr.models.router.encoders._cloud import Cloud, CoordinateEncoder, gather, input_features


class PointCNN(CoordinateEncoder):
    """Four X-Convs; of 1024 points 1024, 384, 128 and 128 remain, the last sees where it is in the protein.

    The paper calls this row of its Table 4 PointCNN but cites Pointwise CNN, another network; this is the named one.
    Points are chosen by farthest-point sampling instead of at random. LayerNorm stands for BatchNorm.
    """

    def __init__(self, config: RouterConfig) -> None:
        c = config.hidden_channels
        widths = (3 * c // 2, 3 * c, 6 * c, 12 * c)
        place = widths[-1] // 4
        super().__init__(config, channels=widths[-1] + place)
        self.ratios = (1.0, 3 / 8, 1 / 3, 1.0)
        self.convolutions = nn.ModuleList(
            [
                XConv(input_features(config), widths[0], lifted=widths[0] // 4, k=8, dilation=1, multiplier=4),
                XConv(widths[0], widths[1], lifted=widths[0] // 4, k=12, dilation=2, multiplier=2),
                XConv(widths[1], widths[2], lifted=widths[1] // 4, k=16, dilation=2, multiplier=2),
                XConv(widths[2], widths[3], lifted=widths[2] // 4, k=16, dilation=3, multiplier=2),
            ]
        )
        self.place = nn.Sequential(nn.Linear(3, place), nn.ELU(), nn.Linear(place, place), nn.ELU())

    def encode(self, cloud: Cloud, features: Tensor) -> tuple[Cloud, Tensor]:
        """One of eight points, but at least 16, and features (Q, channels)."""
        for ratio, convolution in zip(self.ratios, self.convolutions, strict=True):
            centres = cloud if ratio == 1 else cloud.thinned(ratio)[0]
            features = convolution(cloud, features, centres)
            cloud = centres
        return cloud, torch.cat([self.place(cloud.positions), features], -1)


class XConv(nn.Module):
    """Convolution over k neighbours that a k × k matrix, learned from their offsets, weighs and orders.

    Neighbours are every ``dilation``-th of the nearest k · dilation. A protein with fewer points fills the slots
    from the start again.
    """

    def __init__(self, width_in: int, width_out: int, *, lifted: int, k: int, dilation: int, multiplier: int) -> None:
        super().__init__()
        self.k, self.dilation = k, dilation
        width = max(lifted, 1) + width_in
        self.lift = nn.Sequential(
            nn.Linear(3, width - width_in), nn.ELU(), nn.Linear(width - width_in, width - width_in)
        )
        self.matrix = nn.Linear(3 * k, k * k)
        self.matrix_inner = Depthwise(k, slots=k, multiplier=k)
        self.matrix_outer = Depthwise(k, slots=k, multiplier=k)
        self.depthwise = Depthwise(width, slots=k, multiplier=multiplier)
        self.pointwise = nn.Linear(multiplier * width, width_out)
        self.norm = nn.LayerNorm(width_out)

    def forward(self, cloud: Cloud, features: Tensor, centres: Cloud) -> Tensor:
        """Features (Q, width_out) of the centres from features (P, width_in) of the cloud."""
        around = cloud.around(centres, self.k * self.dilation)
        wanted = torch.arange(0, self.k * self.dilation, self.dilation, device=around.index.device)
        slot = wanted % around.found[:, None]
        index = around.index.gather(1, slot)
        offset = around.offset.gather(1, slot[..., None].expand(-1, -1, 3))
        return self.convolve(offset, gather(features, index))

    def convolve(self, offset: Tensor, neighbours: Tensor) -> Tensor:
        """(Q, width_out) from offsets (Q, k, 3) and features (Q, k, width_in) of k neighbours."""
        values = torch.cat([nn.functional.elu(self.lift(offset)), neighbours], -1)
        matrix = nn.functional.elu(self.matrix(offset.flatten(1))).unflatten(-1, (self.k, self.k))
        matrix = self.matrix_outer(nn.functional.elu(self.matrix_inner(matrix)))
        weighed = torch.matmul(matrix, values.to(matrix.dtype))
        result: Tensor = self.norm(nn.functional.elu(self.pointwise(self.depthwise(weighed).flatten(1))))
        return result


class Depthwise(nn.Module):
    """A kernel over the slots for each channel by itself: y_cm = Σ_s x_sc w_csm + b_cm."""

    def __init__(self, channels: int, *, slots: int, multiplier: int) -> None:
        super().__init__()
        bound = slots**-0.5
        self.weight = nn.Parameter(torch.empty(channels, slots, multiplier).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(channels, multiplier).uniform_(-bound, bound))

    def forward(self, values: Tensor) -> Tensor:
        """(Q, slots, channels) to (Q, channels, multiplier)."""
        return torch.bmm(values.permute(2, 0, 1), self.weight).transpose(0, 1) + self.bias
