"""An expert that starts from P0's own surface and learns how it moves."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from moedsr.batch import InitialDistances
from moedsr.config import ExpertConfig
from moedsr.models.encoders import RouterWidths
from moedsr.models.experts._base import Experts, FieldContext, mixture
from moedsr.models.experts.body import BodyWeights, ExpertBody, PointWeights, through
from moedsr.models.experts.initial_distance import initial_distance
from moedsr.models.experts.local_features import feature_count, local_surface, vector_count
from moedsr.models.experts.stacked import StackedLinear
from moedsr.models.experts.surroundings import SMOOTHINGS, SURROUNDING_FEATURES, surroundings

_DEPTH = 3.0  # Å, over which the signed distance to P0 is resolved as a feature


@dataclass(frozen=True)
class _Inputs:
    """What a warping network reads at N = F·Q points of each of n proteins, and how to take its derivative."""

    positions: Tensor  # (n, N, 3) Å
    features: Tensor  # (n, F, Q, P)
    vectors: Tensor  # (n, F, Q, E, 3)
    side: Tensor  # (n, F, side)
    growth: Tensor  # (n, F, 1) g(t)
    jacobian: Tensor | None  # (n, F, Q, P, 3) Å⁻¹
    vector_jacobian: Tensor | None  # (n, F, Q, E, 3, 3) Å⁻¹

    def of(self, protein: Tensor) -> "_Inputs":
        """Of some of the proteins (m,)."""
        return _Inputs(
            positions=self.positions[protein],
            features=self.features[protein],
            vectors=self.vectors[protein],
            side=self.side[protein],
            growth=self.growth[protein],
            jacobian=None if self.jacobian is None else self.jacobian[protein],
            vector_jacobian=None if self.vector_jacobian is None else self.vector_jacobian[protein],
        )


class AnchoredExperts(Experts):
    """The signed distance S to P0's surface, corrected by N_E networks that see what lies around the point.

    residual: f(x, t) = S(x) + g(t) r(x) Δ(x, t) with Δ = m_0 + Σ_k m_k (B_k - S), where B_k is S blurred, so that
    constant m_k smooth P0, and the networks say how much of it is right where; r falls from 1 on P0's surface to 0 at
    anchor_radius. warp: f(x, t) = S(x + u(x, t)) with u = g(t) Σ_k m_k(x, t) e_k(x) along vectors e_k of the surface.
    g(-1) = 0, so P0 is exact at t = -1 whatever is learned; the last layer starts at zero, so the field starts as P0
    at every time. Networks read features that do not change when protein and point turn and move together, and vectors
    that turn along, so the field is the same then.

    They read the protein code with anchor_code alone: among few proteins it is a name to learn by heart.

    A latent code cannot be fitted on P0: nothing depends on it at t = -1.
    """

    reads_code_at_start = False

    def __init__(self, config: ExpertConfig, *, router: RouterWidths) -> None:
        super().__init__()
        self.config = config
        warps = config.anchor_mode == "warp"
        features = 1 + feature_count(router.local) if warps else SURROUNDING_FEATURES
        outputs = vector_count(router.local) if warps else SMOOTHINGS
        self.first = StackedLinear(config.count, features, config.hidden_size, bias=False)
        self.skip = StackedLinear(config.count, features, config.hidden_size, bias=False)
        for layer in (self.first, self.skip):
            nn.init.normal_(layer.weight, std=math.sqrt(2 / features))
        side = 1 + (router.code if config.anchor_code else 0) + config.latent_size
        self.body = ExpertBody(config, side=side, outputs=outputs)

    def forward(
        self, points: Tensor, time: Tensor, context: FieldContext, *, gradient: bool = True
    ) -> tuple[Tensor, Tensor | None]:
        proteins = context.proteins
        distances = proteins.initial_distances
        assert distances is not None, "anchored experts need the initial distances of their proteins"
        scale = proteins.scale[:, None, None]
        positions = points.flatten(1, 2) * scale
        start, slope = initial_distance(distances, torch.arange(proteins.size, device=points.device), positions)
        if self.config.anchor_mode == "warp":
            value, warped = self._warped(points, positions, start, slope, time, context, gradient=gradient)
            return value / scale, warped
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

    def _warped(
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
        """The mixture of S(x + u) in Å (B, F, Q), and its gradient (B, F, Q, 3)."""
        distances = context.proteins.initial_distances
        assert distances is not None
        inputs = self._inputs(positions, start, start_slope, time, context, gradient=gradient)
        body, point = self.body.per_expert(), self._point_weights()

        def one(expert: int, protein: Tensor) -> tuple[Tensor, Tensor | None]:
            return self._warp(body[expert], point[expert], inputs.of(protein), distances, protein)

        return mixture(points, context.gates, one, gradient=gradient)

    def _side(self, time: Tensor, context: FieldContext) -> Tensor:
        if self.config.anchor_code:
            return context.side(time)
        codes = context.codes[:, None].expand(-1, time.shape[1], -1)
        return torch.cat([time[..., None], codes], -1)

    def _growth(self, time: Tensor) -> Tensor:
        """g(t) (B, F, 1)."""
        return -torch.expm1(-(time + 1) / self.config.anchor_time)[..., None]

    def _inputs(
        self,
        positions: Tensor,
        start: Tensor,
        start_slope: Tensor,
        time: Tensor,
        context: FieldContext,
        *,
        gradient: bool,
    ) -> _Inputs:
        proteins, radius = context.proteins, self.config.anchor_radius
        near = local_surface(proteins, context.encoding.local, positions, radius=radius, gradient=gradient)
        dense = (time.shape[1], -1)
        # bounded: far away nothing is to be learned from how far
        depth = torch.tanh(start / _DEPTH)
        jacobian = None
        if near.jacobian is not None:
            depth_slope = ((1 - depth.square()) / _DEPTH)[..., None] * start_slope
            jacobian = torch.cat([depth_slope[..., None, :], near.jacobian], -2).unflatten(1, dense)
        return _Inputs(
            positions=positions,
            features=torch.cat([depth[..., None], near.features], -1).unflatten(1, dense),
            vectors=near.vectors.unflatten(1, dense),
            side=self._side(time, context),
            growth=self._growth(time),
            jacobian=jacobian,
            vector_jacobian=None if near.vector_jacobian is None else near.vector_jacobian.unflatten(1, dense),
        )

    def _warp(
        self, body: BodyWeights, point: PointWeights, at: _Inputs, distances: InitialDistances, protein: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """S(x + u) in Å (n, F, Q), and its gradient (n, F, Q, 3) = (1 + ∂u/∂x)ᵀ ∇S."""
        output, slopes = self.body(body, point, at.features, at.side, gradient=at.jacobian is not None)
        amount = at.growth[..., None] * output  # (n, F, Q, E) Å
        shift = (amount[..., None] * at.vectors).sum(-2)
        value, slope = initial_distance(distances, protein, at.positions + shift.flatten(1, 2))
        value, slope = value.view(shift.shape[:-1]), slope.view(shift.shape)
        if at.jacobian is None or at.vector_jacobian is None:
            return value, None
        # one reverse sweep serves all outputs: u enters through <e_k, ∇S> only
        cotangent = at.growth[..., None] * (at.vectors @ slope[..., None])[..., 0]
        to_features = self.body.reverse(body, point, slopes, cotangent)
        bent = torch.einsum("nfqe,nfqeab,nfqa->nfqb", amount, at.vector_jacobian, slope)
        return value, slope + through(to_features, at.jacobian) + bent

    def _point_weights(self) -> list[PointWeights]:
        pairs = zip(self.first.per_expert(), self.skip.per_expert(), strict=True)
        return [PointWeights(first, skip) for (first, _), (skip, _) in pairs]
