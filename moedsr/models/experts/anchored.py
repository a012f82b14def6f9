"""An expert that starts from P0's own surface and learns how it moves."""

import math

import torch
from torch import Tensor, nn

from moedsr.config import ExpertConfig
from moedsr.models.encoders import RouterWidths
from moedsr.models.experts._base import Experts, FieldContext, mixture
from moedsr.models.experts.body import ExpertBody, PointWeights, through
from moedsr.models.experts.initial_distance import initial_distance
from moedsr.models.experts.local_features import LocalSurface, feature_count, local_surface, vector_count
from moedsr.models.experts.stacked import StackedLinear

_DEPTH = 3.0  # Å, over which the signed distance to P0 is resolved as a feature


class AnchoredExperts(Experts):
    """The signed distance S to P0's surface, corrected by N_E networks that see the surface near the point.

    residual: f(x, t) = S(x) + g(t) Δ(x, t). warp: f(x, t) = S(x + u(x, t)) with u = g(t) Σ_k m_k(x, t) e_k(x) along
    local vectors e_k. g(-1) = 0, so P0 is exact at t = -1 whatever is learned; the last layer starts at zero, so the
    field starts as P0 at every time. Networks read features that do not change when protein and point turn and move
    together, and vectors that turn along, so the field is the same then.

    A latent code cannot be fitted on P0: nothing depends on it at t = -1.
    """

    reads_code_at_start = False

    def __init__(self, config: ExpertConfig, *, router: RouterWidths) -> None:
        super().__init__()
        self.config = config
        features = 1 + feature_count(router.local)
        outputs = vector_count(router.local) if config.anchor_mode == "warp" else 1
        self.first = StackedLinear(config.count, features, config.hidden_size, bias=False)
        self.skip = StackedLinear(config.count, features, config.hidden_size, bias=False)
        for layer in (self.first, self.skip):
            nn.init.normal_(layer.weight, std=math.sqrt(2 / features))
        self.body = ExpertBody(config, side=1 + router.code + config.latent_size, outputs=outputs)

    def forward(
        self, points: Tensor, time: Tensor, context: FieldContext, *, gradient: bool = True
    ) -> tuple[Tensor, Tensor | None]:
        shape, proteins = points.shape[:3], context.proteins
        assert proteins.initial_distances is not None, "anchored experts need the batch's initial distances"
        scale = proteins.scale[:, None, None]
        positions = points.flatten(1, 2) * scale  # (B, F·Q, 3) Å
        everyone = torch.arange(proteins.size, device=points.device)
        start, start_slope = initial_distance(proteins.initial_distances, everyone, positions, gradient=True)
        assert start_slope is not None
        near = local_surface(proteins, context.encoding.local, positions, radius=self.config.anchor_radius)
        depth = torch.tanh(start / _DEPTH)
        depth_slope = ((1 - depth.square()) / _DEPTH)[..., None] * start_slope
        features = torch.cat([depth[..., None], near.features], -1).unflatten(1, shape[1:])
        jacobian = torch.cat([depth_slope[..., None, :], near.jacobian], -2).unflatten(1, shape[1:])
        side, body, point = context.side(time), self.body.per_expert(), self._point_weights()
        growth = -torch.expm1(-(time + 1) / self.config.anchor_time)[..., None]  # (B, F, 1)

        def residual(expert: int, protein: Tensor) -> tuple[Tensor, Tensor | None]:
            output, slopes = self.body(body[expert], point[expert], features[protein], side[protein], gradient=gradient)
            value = growth[protein] * output[..., 0]
            if not gradient:
                return value, None
            to_features = self.body.reverse(body[expert], point[expert], slopes)
            return value, growth[protein][..., None] * through(to_features, jacobian[protein])

        def warp(expert: int, protein: Tensor) -> tuple[Tensor, Tensor | None]:
            output, slopes = self.body(body[expert], point[expert], features[protein], side[protein], gradient=gradient)
            amount = growth[protein][..., None] * output  # (n, F, Q, E) Å
            vectors = near.vectors[protein].unflatten(1, shape[1:])
            shift = (amount[..., None] * vectors).sum(-2)
            moved = positions[protein] + shift.flatten(1, 2)
            assert proteins.initial_distances is not None
            value, slope = initial_distance(proteins.initial_distances, protein, moved, gradient=gradient)
            if slope is None:
                return value.unflatten(1, shape[1:]), None
            slope = slope.unflatten(1, shape[1:])
            cotangent = growth[protein][..., None] * (vectors @ slope[..., None])[..., 0]
            to_features = self.body.reverse(body[expert], point[expert], slopes, cotangent)
            bend = near.vector_jacobian[protein].unflatten(1, shape[1:])
            bent = torch.einsum("nfqe,nfqeab,nfqa->nfqb", amount, bend, slope)
            return value.unflatten(1, shape[1:]), slope + through(to_features, jacobian[protein]) + bent

        if self.config.anchor_mode == "warp":
            value, slope = mixture(points, context.gates, warp, gradient=gradient)
        else:
            # gates sum to one, so the distance to P0 need not be summed over experts
            value, slope = mixture(points, context.gates, residual, gradient=gradient)
            value = value + start.unflatten(1, shape[1:])
            slope = None if slope is None else slope + start_slope.unflatten(1, shape[1:])
        return value / scale, slope

    def _point_weights(self) -> list[PointWeights]:
        pairs = zip(self.first.per_expert(), self.skip.per_expert(), strict=True)
        return [PointWeights(first, skip) for (first, _), (skip, _) in pairs]
