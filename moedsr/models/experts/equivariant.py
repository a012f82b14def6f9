"""An expert that turns with its protein: the first layer is built from the router's equivariant features."""

import logging
import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from moedsr.config import HARMONIC_CHANNELS, ExpertConfig
from moedsr.errors import InputError
from moedsr.models.experts._base import Experts, FieldContext, mixture
from moedsr.models.experts.body import ExpertBody, PointWeights, through
from moedsr.models.experts.harmonics import Harmonics
from moedsr.models.experts.polar import polar_factor
from moedsr.models.experts.sphere import start_as_sphere
from moedsr.models.experts.stacked import StackedLinear
from moedsr.models.router.encoders import RouterWidths

logger = logging.getLogger(__name__)


class EquivariantExperts(Experts):
    """Plain experts whose first and skip layers are A(P0)·Ψ(x), with A formed once per protein.

    A's rows of degree l are Σ_c W_c p_c^(l), where p^(l) (C_l, 2l+1) are the router's features of the protein and W is
    learned. <p_c^(l), Ψ_l(x)> does not change when protein and point turn together, so neither does the field. A point
    costs what it costs a plain expert.

    p^(l) enters as its polar factor, whose columns are orthonormal: with independent normal W, A is independent normal
    too, whatever the protein, and the geometric initialisation holds as it does for plain experts.

    Degrees that the router does not have are left out of Ψ.
    """

    refuses: ClassVar[bool] = True

    def __init__(self, config: ExpertConfig, *, router: RouterWidths) -> None:
        super().__init__()
        self.harmonics = Harmonics(shared_channels(config, router), config.harmonic_epsilon)
        width = config.hidden_size
        channels = [router.equivariant[degree] for degree in self.harmonics.degrees]
        self.first = nn.ModuleList(StackedLinear(config.count, size, width, bias=False) for size in channels)
        self.skip = nn.ModuleList(StackedLinear(config.count, size, width, bias=False) for size in channels)
        for layer in (*self.first, *self.skip):
            nn.init.normal_(layer.weight, std=math.sqrt(2 / width))
        self.body = ExpertBody(config, side=1 + router.code + config.latent_size)
        some = [
            polar_factor(torch.randn(1, size, 2 * degree + 1))
            for size, degree in zip(channels, self.harmonics.degrees, strict=True)
        ]
        points = [self.point_weights(some, expert) for expert in range(config.count)]
        start_as_sphere(self.body, self.harmonics, points, config.initial_radius)

    def point_weights(self, features: list[Tensor], expert: int) -> PointWeights:
        """Of one expert and n proteins with features (n, C_l, 2l+1): (n, 1, H, φ_SH)."""

        def formed(layers: nn.ModuleList) -> Tensor:
            rows = [layer.weight[expert] @ p for layer, p in zip(layers, features, strict=True)]  # type: ignore[index]
            return torch.cat(rows, -1)[:, None]

        return PointWeights(formed(self.first), formed(self.skip))

    def forward(
        self, points: Tensor, time: Tensor, context: FieldContext, *, gradient: bool = True
    ) -> tuple[Tensor, Tensor | None]:
        # zero by the contract of the batch; subtracted, so that the field moves with the protein too
        centre = context.proteins.centre / context.proteins.scale[:, None]
        psi, jacobian = self.harmonics(points - centre[:, None, None])
        side = context.side(time)
        features = [polar_factor(context.encoding.equivariant[degree]) for degree in self.harmonics.degrees]
        body = self.body.per_expert()

        def one(expert: int, protein: Tensor) -> tuple[Tensor, Tensor | None]:
            point = self.point_weights([p[protein] for p in features], expert)
            output, slopes = self.body(body[expert], point, psi[protein], side[protein], gradient=gradient)
            if not gradient:
                return output[..., 0], None
            to_psi = self.body.reverse(body[expert], point, slopes)
            return output[..., 0], through(to_psi, jacobian[protein])

        return mixture(points, context.gates, one, gradient=gradient)


def shared_channels(config: ExpertConfig, router: RouterWidths) -> int:
    """Channels of Ψ in the degrees that the expert wants and the router has.

    Raises:
        InputError: the router cannot tell how a protein is turned.
    """
    wanted, highest = HARMONIC_CHANNELS[config.harmonic_channels], len(router.equivariant) - 1
    if highest < 0:
        raise InputError("expert.kind `equivariant` needs a router.backbone with equivariant features; nearest: q_mpnn")
    if highest < min(max(wanted), 1):
        raise InputError(f"router.l_max is {highest}, but must be at least 1 for expert.kind `equivariant`")
    if max(wanted) <= highest:
        return config.harmonic_channels
    channels = (highest + 1) ** 2
    logger.warning(
        "expert.harmonic_channels %d has degrees up to %d, but router.l_max is %d: equivariant experts use %d channels",
        config.harmonic_channels,
        max(wanted),
        highest,
        channels,
    )
    return channels
