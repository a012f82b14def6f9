"""The paper's expert: an MLP on Ψ(x), time, protein code and latent code."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from moedsr.config import ExpertConfig
from moedsr.models.experts._base import Experts, FieldContext
from moedsr.models.experts.stacked import StackedLinear
from moedsr.models.harmonics import Harmonics

# beyond this β·a, softplus is taken as linear; at torch's default of 20 its derivative would miss the sigmoid by 2e-9
_SOFTPLUS_THRESHOLD = 50.0


@dataclass(frozen=True)
class _Weights:
    """One expert's weights, in the order of its layers."""

    point: Tensor  # (H, φ_SH) first layer, from Ψ
    side: Tensor  # (H, side) first layer, from time and codes
    bias: Tensor  # (H,)
    skip_point: Tensor  # (H, φ_SH)
    skip_side: Tensor  # (H, side)
    hidden: list[tuple[Tensor, Tensor]]  # (H, H), (H,) for layers 1…
    last: Tensor  # (1, H)
    last_bias: Tensor  # (1,)


class PlainExperts(Experts):
    """N_E networks of softplus layers with one skip connection from the input to the middle.

    What depends on the protein and the frame alone (time, codes) enters the first and the skip layer as a bias formed
    once per frame, not as columns repeated for every point. The spatial gradient is written out as one reverse sweep,
    so that the normal and eikonal losses need an ordinary backward pass only.

    Not equivariant: an invariant code cannot tell how a protein is turned, so on an unseen protein the prediction is
    right in one orientation at best.
    """

    def __init__(self, config: ExpertConfig, *, protein_features: int) -> None:
        super().__init__()
        self.config = config
        self.harmonics = Harmonics(config.harmonic_channels, config.harmonic_epsilon)
        self.skip = config.hidden_layers // 2
        count, width, side = config.count, config.hidden_size, 1 + protein_features + config.latent_size
        self.first_point = StackedLinear(count, config.harmonic_channels, width)
        self.first_side = StackedLinear(count, side, width, bias=False)
        self.skip_point = StackedLinear(count, config.harmonic_channels, width, bias=False)
        self.skip_side = StackedLinear(count, side, width, bias=False)
        self.hidden = nn.ModuleList(StackedLinear(count, width, width) for _ in range(config.hidden_layers - 1))
        self.last = StackedLinear(count, width, 1)
        self._initialise()

    @torch.no_grad()
    def _initialise(self) -> None:
        """Geometric initialisation: every expert starts as the signed distance to a sphere.

        Side columns start at zero: random codes there would swamp the coordinates and leave no zero level set. The
        last bias is measured, not assumed, so that the level set lies at the wanted radius at any width and depth.
        """
        width = self.config.hidden_size
        for layer in (self.first_point, self.skip_point, *self.hidden):
            nn.init.normal_(layer.weight, std=math.sqrt(2 / width))
        for layer in (self.first_side, self.skip_side):
            nn.init.zeros_(layer.weight)
        nn.init.normal_(self.last.weight, mean=math.sqrt(math.pi / width), std=1e-5)
        sphere = nn.functional.normalize(torch.randn(512, 3), dim=-1) * self.config.initial_radius
        for expert, weights in enumerate(self._weights()):
            side = torch.zeros(1, 1, self.first_side.weight.shape[-1])
            value, _ = self._evaluate(weights, sphere[None, None], side, gradient=False)
            self.last.bias[expert] -= value.mean()  # type: ignore[index]

    def _weights(self) -> list[_Weights]:
        hidden = [layer.per_expert() for layer in self.hidden]  # type: ignore[operator]
        columns = zip(
            self.first_point.per_expert(),
            self.first_side.per_expert(),
            self.skip_point.per_expert(),
            self.skip_side.per_expert(),
            self.last.per_expert(),
            *hidden,
            strict=True,
        )
        return [
            _Weights(
                point=point,
                side=side,
                bias=bias,
                skip_point=skip_point,
                skip_side=skip_side,
                hidden=list(layers),
                last=last,
                last_bias=last_bias,
            )
            for (point, bias), (side, _), (skip_point, _), (skip_side, _), (
                last,
                last_bias,
            ), *layers in columns
        ]

    def forward(
        self, points: Tensor, time: Tensor, context: FieldContext, *, gradient: bool = True
    ) -> tuple[Tensor, Tensor | None]:
        frames = time.shape[1]
        side = torch.cat([time[..., None], context.side[:, None].expand(-1, frames, -1)], -1)
        chosen, gate = context.gates.experts, context.gates.weights
        value = points.new_zeros(points.shape[:-1])
        slope = torch.zeros_like(points) if gradient else None
        for expert, weights in enumerate(self._weights()):
            protein, rank = (chosen == expert).nonzero(as_tuple=True)
            if len(protein) == 0:
                continue
            own = gate[protein, rank][:, None, None]
            part, part_slope = self._evaluate(weights, points[protein], side[protein], gradient=gradient)
            value = value.index_add(0, protein, own * part)
            if slope is not None and part_slope is not None:
                slope = slope.index_add(0, protein, own[..., None] * part_slope)
        return value, slope

    def _evaluate(
        self, weights: _Weights, points: Tensor, side: Tensor, *, gradient: bool
    ) -> tuple[Tensor, Tensor | None]:
        """One expert at points (n, F, Q, 3) with side inputs (n, F, side): value (n, F, Q) and gradient or None."""
        psi, jacobian = self.harmonics(points)
        root_half = math.sqrt(0.5)
        slopes: list[Tensor] = []
        inner = psi @ weights.point.T + (side @ weights.side.T + weights.bias)[:, :, None]
        hidden = self._activate(inner, slopes if gradient else None)
        for number, (weight, bias) in enumerate(weights.hidden, start=1):
            if number == self.skip:
                entering = psi @ weights.skip_point.T + (side @ weights.skip_side.T)[:, :, None]
                inner = (hidden @ weight.T + entering) * root_half + bias
            else:
                inner = torch.nn.functional.linear(hidden, weight, bias)
            hidden = self._activate(inner, slopes if gradient else None)
        value = (hidden @ weights.last.T + weights.last_bias)[..., 0]
        if not gradient:
            return value, None
        # reverse sweep: sensitivity of the value to each preactivation, from the last layer to the first
        sweep = weights.last * slopes[-1]
        to_psi: Tensor | float = 0.0
        for number in range(len(weights.hidden), 0, -1):
            if number == self.skip:
                sweep = sweep * root_half
                to_psi = sweep @ weights.skip_point
            sweep = (sweep @ weights.hidden[number - 1][0]) * slopes[number - 1]
        to_psi = to_psi + sweep @ weights.point
        return value, (to_psi[..., None, :] @ jacobian)[..., 0, :]

    def _activate(self, inner: Tensor, slopes: list[Tensor] | None) -> Tensor:
        beta = self.config.softplus_beta
        if slopes is not None:
            slopes.append(torch.sigmoid(beta * inner))
        return torch.nn.functional.softplus(inner, beta=beta, threshold=_SOFTPLUS_THRESHOLD)
