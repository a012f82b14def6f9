"""The network that all kinds of experts share: softplus layers, one skip connection, its gradient written out."""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from moedsr.config import ExpertConfig
from moedsr.models.experts.products import linear
from moedsr.models.experts.stacked import StackedLinear

# beyond this β·a, softplus is taken as linear; at torch's default of 20 its derivative would miss the sigmoid by 2e-9
_SOFTPLUS_THRESHOLD = 50.0


@dataclass(frozen=True)
class BodyWeights:
    """One expert's weights, in the order of its layers."""

    side: Tensor  # (H, side) first layer, from time and codes
    bias: Tensor  # (H,) first layer
    skip_side: Tensor  # (H, side)
    hidden: list[tuple[Tensor, Tensor]]  # (H, H), (H,) for layers 1…, less where narrowed
    last: Tensor  # (outputs, H)
    last_bias: Tensor  # (outputs,)


@dataclass(frozen=True)
class PointWeights:
    """What one expert makes of the features of a point: (H, P), or (n, 1, H, P) with one matrix for each protein."""

    first: Tensor
    skip: Tensor


class ExpertBody(nn.Module):
    """N_E networks with stacked weights; the weights of the point features are the owner's.

    What depends on the protein and the frame alone (time, codes) enters the first and the skip layer as a bias formed
    once per frame, not as columns repeated for every point. The gradient is written out as one reverse sweep, so that
    the normal and eikonal losses need an ordinary backward pass only.

    While training on a GPU the products between hidden layers may be TensorFloat-32 (``config.matmul_precision``);
    first and last layer, activations, and all of an evaluation are not.

    Args:
        config: sizes.
        side: number of side inputs, time and codes.
        outputs: numbers per point.
        narrowed: by so many units the layer that meets the skip connection is narrower, as it is where the inputs
            take their place instead of being added.

    Attributes:
        widths: of the hidden layers.
    """

    def __init__(self, config: ExpertConfig, *, side: int, outputs: int = 1, narrowed: int = 0) -> None:
        super().__init__()
        count, width = config.count, config.hidden_size
        self.beta = config.softplus_beta
        self.matmul_precision = config.matmul_precision
        self.skip = config.hidden_layers // 2
        self.widths = [width] * config.hidden_layers
        self.widths[self.skip - 1] -= narrowed
        self.first_side = StackedLinear(count, side, self.widths[0])
        self.skip_side = StackedLinear(count, side, width, bias=False)
        self.hidden = nn.ModuleList(StackedLinear(count, *pair) for pair in pairwise(self.widths))
        self.last = StackedLinear(count, width, outputs)
        # random side columns would swamp the coordinates and leave no zero level set
        for layer in (self.first_side, self.skip_side, self.last):
            nn.init.zeros_(layer.weight)
        for hidden in self.hidden:
            nn.init.normal_(hidden.get_parameter("weight"), std=math.sqrt(2 / width))

    def per_expert(self) -> list[BodyWeights]:
        """The weights of each expert, unbound all at once."""
        hidden = zip(*(layer.per_expert() for layer in self.hidden), strict=True)  # type: ignore[operator]
        sides = zip(self.first_side.per_expert(), self.skip_side.per_expert(), self.last.per_expert(), strict=True)
        return [
            BodyWeights(side, bias, skip_side, list(layers), last, last_bias)  # type: ignore[arg-type]
            for ((side, bias), (skip_side, _), (last, last_bias)), layers in zip(sides, hidden, strict=True)
        ]

    def forward(
        self, weights: BodyWeights, point: PointWeights, features: Tensor, side: Tensor, *, gradient: bool
    ) -> tuple[Tensor, list[Tensor]]:
        """One expert.

        Args:
            weights: of the expert.
            point: of the same expert.
            features: (n, F, Q, P) of the points.
            side: (n, F, side).
            gradient: whether ``reverse`` will follow.

        Returns:
            outputs (n, F, Q, outputs), and the slope of every activation, which ``reverse`` needs.
        """
        slopes: list[Tensor] = []
        tf32 = self._tf32
        kept = slopes if gradient else None
        inner = features @ point.first.mT + (side @ weights.side.T + weights.bias)[:, :, None]
        hidden = self._activate(inner, kept)
        for number, (weight, bias) in enumerate(weights.hidden, start=1):
            if number == self.skip:
                entering = features @ point.skip.mT + (side @ weights.skip_side.T)[:, :, None]
                inner = (linear(hidden, weight, tf32=tf32) + entering) * math.sqrt(0.5) + bias
            else:
                inner = linear(hidden, weight, bias, tf32=tf32)
            hidden = self._activate(inner, kept)
        return hidden @ weights.last.T + weights.last_bias, slopes

    def reverse(
        self, weights: BodyWeights, point: PointWeights, slopes: list[Tensor], cotangent: Tensor | None = None
    ) -> Tensor:
        """Derivative (n, F, Q, P) of Σ cotangent · output by the features of the points.

        Args:
            weights: as in ``forward``.
            point: as in ``forward``.
            slopes: what ``forward`` gave.
            cotangent: (n, F, Q, outputs); None stands for ones.
        """
        entering = weights.last.sum(0) if cotangent is None else cotangent @ weights.last
        sweep, tf32 = entering * slopes[-1], self._tf32
        to_features: Tensor | float = 0.0
        for number in range(len(weights.hidden), 0, -1):
            if number == self.skip:
                sweep = sweep * math.sqrt(0.5)
                to_features = sweep @ point.skip
            sweep = linear(sweep, weights.hidden[number - 1][0].mT, tf32=tf32) * slopes[number - 1]
        return to_features + sweep @ point.first

    @property
    def _tf32(self) -> bool:
        return self.training and self.matmul_precision == "tf32"

    def _activate(self, inner: Tensor, slopes: list[Tensor] | None) -> Tensor:
        if slopes is not None:
            slopes.append(torch.sigmoid(self.beta * inner))
        return nn.functional.softplus(inner, beta=self.beta, threshold=_SOFTPLUS_THRESHOLD)


def through(to_features: Tensor, jacobian: Tensor) -> Tensor:
    """Chain rule: (..., P) by features and their Jacobian (..., P, 3) to (..., 3) by position."""
    return (to_features[..., None, :] @ jacobian)[..., 0, :]
