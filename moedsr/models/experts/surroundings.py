"""What an expert reads of P0 near a point: how far inside, how rough the surface, how mobile the atoms."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from moedsr.batches.batch import SURROUNDING_BLURS, SURROUNDING_CHANNELS, InitialDistances
from moedsr.models.experts.initial_distance import splines

_DEPTH = 3.0  # Å, over which the signed distance to P0 is resolved as a feature
_ROUGHNESS = 0.2  # usual distance between a blurred surface and its original, over the width of the blur

SURROUNDING_FEATURES = 1 + SURROUNDING_CHANNELS
SMOOTHINGS = 1 + len(SURROUNDING_BLURS)


@dataclass(frozen=True)
class Surroundings:
    """At N points of each of B proteins; nothing changes when protein and point turn and move together."""

    features: Tensor  # (B, N, P) about one in size
    corrections: Tensor  # (B, N, K) Å: one, and the way from the signed distance to each blurred one
    reach: Tensor  # (B, N) from 1 on P0's surface to 0, smoothly, at a given distance from it
    jacobian: Tensor | None = None  # (B, N, P, 3) Å⁻¹
    corrections_jacobian: Tensor | None = None  # (B, N, K, 3)
    reach_slope: Tensor | None = None  # (B, N, 3) Å⁻¹

    def of(self, protein: Tensor) -> "Surroundings":
        """Of some of the proteins (n,)."""
        return self._changed(lambda part: part[protein])

    def unflattened(self, dense: tuple[int, ...]) -> "Surroundings":
        """With N points laid out as F frames of Q."""
        return self._changed(lambda part: part.unflatten(1, dense))

    def _changed(self, change: Callable[[Tensor], Tensor]) -> "Surroundings":
        parts: dict[str, Any] = {name: part if part is None else change(part) for name, part in vars(self).items()}
        return Surroundings(**parts)


def surroundings(
    distances: InitialDistances, positions: Tensor, start: Tensor, start_slope: Tensor, radius: float, *, gradient: bool
) -> Surroundings:
    """Features of the signed distance, of its blurred versions and of the atoms around.

    Args:
        distances: of B proteins.
        positions: (B, N, 3) Å.
        start: (B, N) Å, signed distance to P0's surface there.
        start_slope: (B, N, 3) its gradient.
        radius: Å from the surface, beyond which nothing reaches.
        gradient: whether the derivatives are wanted.
    """
    owner = torch.arange(len(positions), device=positions.device).repeat_interleave(positions.shape[1])
    channels, slopes = splines(distances.around, owner, positions.flatten(0, 1), gradient=gradient)
    blurs = len(SURROUNDING_BLURS)
    units = positions.new_tensor(SURROUNDING_BLURS) * _ROUGHNESS
    channels = channels.unflatten(0, positions.shape[:2])
    smoother = channels[..., :blurs] - start[..., None]
    depth = torch.tanh(start / _DEPTH)
    place = start / radius
    room = (1 - place.square()).clamp_min(0)
    features = torch.cat([depth[..., None], smoother / units, channels[..., blurs:]], -1)
    corrections = torch.cat([torch.ones_like(smoother[..., :1]), smoother], -1)
    if slopes is None:
        return Surroundings(features, corrections, room**3)
    slopes = slopes.unflatten(0, positions.shape[:2])
    smoother_slope = slopes[..., :blurs, :] - start_slope[..., None, :]
    depth_slope = ((1 - depth.square()) / _DEPTH)[..., None] * start_slope
    return Surroundings(
        features,
        corrections,
        room**3,
        torch.cat([depth_slope[..., None, :], smoother_slope / units[:, None], slopes[..., blurs:, :]], -2),
        torch.cat([torch.zeros_like(smoother_slope[..., :1, :]), smoother_slope], -2),
        (-6 / radius * room.square() * place)[..., None] * start_slope,
    )
