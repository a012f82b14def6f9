"""An expert that starts from P0's own surface and learns how it moves."""

import math

import torch
from torch import Tensor, nn

from moedsr.config import ExpertConfig
from moedsr.models.experts._base import Experts, FieldContext, mixture
from moedsr.models.experts.body import ExpertBody, PointWeights, through
from moedsr.models.experts.initial_distance import initial_distance
from moedsr.models.experts.stacked import StackedLinear
from moedsr.models.experts.surroundings import SMOOTHINGS, SURROUNDING_FEATURES, surroundings
from moedsr.models.router.encoders import RouterWidths


class AnchoredExperts(Experts):
    """The signed distance S to P0's surface, corrected by N_E networks that see what lies around the point.

    f(x, t) = S(x) + g(t) r(x) Δ(x, t) with Δ = m_0 + Σ_k m_k (B_k - S), where B_k is S blurred, so that constant m_k
    smooth P0, and the networks say how much of it is right where; r falls from 1 on P0's surface to 0 at anchor_radius.
    g(-1) = 0 and g = 1 later, so P0 is exact at t = -1 whatever is learned; the last layer starts at zero, so the field
    starts as P0 at every time. Networks read features that do not change when protein and point turn and move together,
    so neither does the field.

    They read the protein code with anchor_code alone: among few proteins it is a name to learn by heart.

    A latent code cannot be fitted on P0: nothing depends on it at t = -1.
    """

    reads_code_at_start = False

    def __init__(self, config: ExpertConfig, *, router: RouterWidths) -> None:
        super().__init__()
        self.config = config
        self.first = StackedLinear(config.count, SURROUNDING_FEATURES, config.hidden_size, bias=False)
        self.skip = StackedLinear(config.count, SURROUNDING_FEATURES, config.hidden_size, bias=False)
        for layer in (self.first, self.skip):
            nn.init.normal_(layer.weight, std=math.sqrt(2 / SURROUNDING_FEATURES))
        side = 1 + (router.code if config.anchor_code else 0) + config.latent_size
        self.body = ExpertBody(config, side=side, outputs=SMOOTHINGS)

    def forward(
        self, points: Tensor, time: Tensor, context: FieldContext, *, gradient: bool = True
    ) -> tuple[Tensor, Tensor | None]:
        proteins = context.proteins
        distances = proteins.initial_distances
        assert distances is not None, "anchored experts need the initial distances of their proteins"
        scale = proteins.scale[:, None, None]
        positions = points.flatten(1, 2) * scale
        start, slope = initial_distance(distances, torch.arange(proteins.size, device=points.device), positions)
        value, total = start.unflatten(1, points.shape[1:3]), slope.view(points.shape) if gradient else None
        if not gradient and points.shape[:2] == (1, 1):
            # an evaluation on a grid: most of its points are beyond the reach of any correction
            near = (start[0].abs() < self.config.anchor_radius).nonzero()[:, 0]
            some = positions[:, near], start[:, near], slope[:, near]
            correction, _ = self._residual(points[:, :, near], *some, time, context, gradient=False)
            return value.index_add(2, near, correction) / scale, None
        correction, bend = self._residual(points, positions, start, slope, time, context, gradient=gradient)
        return (value + correction) / scale, None if total is None or bend is None else total + bend

    def _residual(
        self,
        points: Tensor,
        positions: Tensor,
        start: Tensor,
        start_slope: Tensor,
        time: Tensor,
        context: FieldContext,
        *,
        gradient: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """g r Δ in Å (B, F, Q), and its gradient (B, F, Q, 3)."""
        distances = context.proteins.initial_distances
        assert distances is not None
        near = surroundings(
            distances, positions, start, start_slope, self.config.anchor_radius, gradient=gradient
        ).unflattened(points.shape[1:3])
        side, growth = self._side(time, context), self._growth(time)
        body, point = self.body.per_expert(), self._point_weights()

        def one(expert: int, protein: Tensor) -> tuple[Tensor, Tensor | None]:
            at, grown = near.of(protein), growth[protein]
            output, slopes = self.body(body[expert], point[expert], at.features, side[protein], gradient=gradient)
            change = (output * at.corrections).sum(-1)
            value = grown * at.reach * change
            if at.jacobian is None or at.corrections_jacobian is None or at.reach_slope is None:
                return value, None
            to_features = self.body.reverse(body[expert], point[expert], slopes, at.corrections)
            bend = through(to_features, at.jacobian) + through(output, at.corrections_jacobian)
            return value, grown[..., None] * (at.reach[..., None] * bend + change[..., None] * at.reach_slope)

        return mixture(points, context.gates, one, gradient=gradient)

    def _side(self, time: Tensor, context: FieldContext) -> Tensor:
        if self.config.anchor_code:
            return context.side(time)
        codes = context.codes[:, None].expand(-1, time.shape[1], -1)
        return torch.cat([time[..., None], codes], -1)

    def _growth(self, time: Tensor) -> Tensor:
        """g(t) (B, F, 1): P0 itself at t = -1; frames are farther apart than what a surface takes to leave it."""
        return (time > -1).to(time.dtype)[..., None]

    def _point_weights(self) -> list[PointWeights]:
        pairs = zip(self.first.per_expert(), self.skip.per_expert(), strict=True)
        return [PointWeights(first, skip) for (first, _), (skip, _) in pairs]
