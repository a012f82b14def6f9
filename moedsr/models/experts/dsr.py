"""The network of DSR (D. Sun et al.), the paper's main baseline, as its authors published it."""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from moedsr.config import ExpertConfig
from moedsr.errors import InputError
from moedsr.models.experts._base import Experts, FieldContext, mixture
from moedsr.models.experts.body import ExpertBody, PointWeights
from moedsr.models.experts.stacked import StackedLinear
from moedsr.models.router.encoders import RouterWidths


class DSRExperts(Experts):
    """N_E networks on latent code, coordinates and time, side by side: [z, x, t], or [z, h^p, x, t] behind a router.

    Half-way all inputs are put beside a layer that is narrower by as many units. Every weight, those of the code and
    of time too, starts as if the input were coordinates alone (geometric initialisation of IGR), and the last bias is
    -initial_radius, not measured: with codes among the inputs there is hardly a zero level set at first.

    The order of the inputs is kept in name only: the columns of a matrix are drawn alike, and those of code and time
    enter as a bias formed once a frame.
    """

    refuses: ClassVar[bool] = True

    def __init__(self, config: ExpertConfig, *, router: RouterWidths) -> None:
        super().__init__()
        side = 1 + router.code + config.latent_size
        inputs = 3 + side
        if config.hidden_size <= inputs:
            raise InputError(
                f"expert.hidden_size is {config.hidden_size}, but must be above {inputs} for expert.kind `dsr`: its "
                f"skip connection takes the place of as many units as there are inputs"
            )
        self.body = ExpertBody(config, side=side, narrowed=inputs)
        self.first = StackedLinear(config.count, 3, self.body.widths[0], bias=False)
        self.skip = StackedLinear(config.count, 3, config.hidden_size, bias=False)
        self._start_as_published(config.initial_radius)

    @torch.no_grad()
    def _start_as_published(self, radius: float) -> None:
        body = self.body
        for layer in (self.first, self.skip, body.first_side, body.skip_side, *body.hidden):
            weight = layer.get_parameter("weight")
            nn.init.normal_(weight, std=math.sqrt(2 / weight.shape[1]))
        nn.init.normal_(body.last.weight, mean=math.sqrt(math.pi / body.last.weight.shape[-1]), std=1e-5)
        nn.init.constant_(body.last.get_parameter("bias"), -radius)

    def forward(
        self, points: Tensor, time: Tensor, context: FieldContext, *, gradient: bool = True
    ) -> tuple[Tensor, Tensor | None]:
        side, body = context.side(time), self.body.per_expert()
        pairs = zip(self.first.per_expert(), self.skip.per_expert(), strict=True)
        point = [PointWeights(first, skip) for (first, _), (skip, _) in pairs]

        def one(expert: int, protein: Tensor) -> tuple[Tensor, Tensor | None]:
            output, slopes = self.body(body[expert], point[expert], points[protein], side[protein], gradient=gradient)
            return output[..., 0], self.body.reverse(body[expert], point[expert], slopes) if gradient else None

        return mixture(points, context.gates, one, gradient=gradient)
