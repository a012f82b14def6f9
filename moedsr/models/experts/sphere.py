"""Geometric initialisation: every expert starts as the signed distance to a sphere."""

import math
from collections.abc import Sequence

import torch
from torch import nn

from moedsr.models.experts.body import ExpertBody, PointWeights
from moedsr.models.experts.harmonics import Harmonics


@torch.no_grad()
def start_as_sphere(body: ExpertBody, harmonics: Harmonics, points: Sequence[PointWeights], radius: float) -> None:
    """Set the last layer so that the field is |x| - radius, whatever the side inputs are.

    The last bias is measured, not assumed, so that the level set lies at the wanted radius at any width and depth.

    Args:
        body: with zero side columns.
        harmonics: of the points.
        points: weights of each expert, independent normal with variance 2 / H.
        radius: normalised.
    """
    width = body.last.weight.shape[-1]
    nn.init.normal_(body.last.weight, mean=math.sqrt(math.pi / width), std=1e-5)
    sphere = nn.functional.normalize(torch.randn(512, 3), dim=-1) * radius
    features, _ = harmonics(sphere[None, None])
    side = torch.zeros(1, 1, body.first_side.weight.shape[-1])
    for expert, (weights, point) in enumerate(zip(body.per_expert(), points, strict=True)):
        value, _ = body(weights, point, features, side, gradient=False)
        body.last.bias[expert] -= value.mean()  # type: ignore[index]
