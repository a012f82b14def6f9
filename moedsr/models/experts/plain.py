"""The paper's expert: an MLP on Ψ(x), time, protein code and latent code."""

import math

from torch import Tensor, nn

from moedsr.config import ExpertConfig
from moedsr.models.experts._base import Experts, FieldContext, mixture
from moedsr.models.experts.body import ExpertBody, PointWeights, through
from moedsr.models.experts.harmonics import Harmonics
from moedsr.models.experts.sphere import start_as_sphere
from moedsr.models.experts.stacked import StackedLinear
from moedsr.models.router.encoders import RouterWidths


class PlainExperts(Experts):
    """N_E networks on Ψ(x).

    Not equivariant: an invariant code cannot tell how a protein is turned, so on an unseen protein the prediction is
    right in one orientation at best.
    """

    def __init__(self, config: ExpertConfig, *, router: RouterWidths) -> None:
        super().__init__()
        self.harmonics = Harmonics(config.harmonic_channels, config.harmonic_epsilon)
        width = config.hidden_size
        self.first = StackedLinear(config.count, config.harmonic_channels, width, bias=False)
        self.skip = StackedLinear(config.count, config.harmonic_channels, width, bias=False)
        for layer in (self.first, self.skip):
            nn.init.normal_(layer.weight, std=math.sqrt(2 / width))
        self.body = ExpertBody(config, side=1 + router.code + config.latent_size)
        start_as_sphere(self.body, self.harmonics, self.point_weights(), config.initial_radius)

    def point_weights(self) -> list[PointWeights]:
        """Of each expert, (H, φ_SH)."""
        pairs = zip(self.first.per_expert(), self.skip.per_expert(), strict=True)
        return [PointWeights(first, skip) for (first, _), (skip, _) in pairs]

    def forward(
        self, points: Tensor, time: Tensor, context: FieldContext, *, gradient: bool = True
    ) -> tuple[Tensor, Tensor | None]:
        psi, jacobian = self.harmonics(points)
        side = context.side(time)
        body, point = self.body.per_expert(), self.point_weights()

        def one(expert: int, protein: Tensor) -> tuple[Tensor, Tensor | None]:
            output, slopes = self.body(body[expert], point[expert], psi[protein], side[protein], gradient=gradient)
            if not gradient:
                return output[..., 0], None
            to_psi = self.body.reverse(body[expert], point[expert], slopes)
            return output[..., 0], through(to_psi, jacobian[protein])

        return mixture(points, context.gates, one, gradient=gradient)
