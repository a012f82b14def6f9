"""Points of a surface cloud with all their neighbours, in rectangular pieces that a matrix product can take."""

from dataclasses import dataclass

import torch
from torch import Tensor

_PAIRS_AT_ONCE = {"cpu": 8192, "cuda": 262_144}
"""Pairs in one piece: on a CPU what is made of them should stay in its cache, on a GPU it should fill it."""


@dataclass(frozen=True)
class Neighbourhoods:
    """Some points and their neighbours, padded to the most that one of them has."""

    point: Tensor  # (n,)
    neighbour: Tensor  # (n, K) point, any where ``pair`` is the number of pairs
    pair: Tensor  # (n, K) number of the pair, or the number of all pairs where there is no neighbour


def neighbourhoods(target: Tensor, source: Tensor, points: int) -> list[Neighbourhoods]:
    """All pairs, in pieces of points with about as many neighbours each, so that little is padded.

    Args:
        target: (E,) ascending.
        source: (E,) neighbour of each target.
        points: number of points; those without a neighbour are in a piece too.
    """
    degree = torch.bincount(target, minlength=points)
    first = torch.cumsum(degree, 0) - degree
    source = torch.nn.functional.pad(source, (0, 1))
    order = torch.argsort(degree, descending=True, stable=True)
    most = _PAIRS_AT_ONCE["cpu" if target.device.type == "cpu" else "cuda"]
    pieces, start, degrees = [], 0, degree[order].tolist()
    while start < points:
        width = max(degrees[start], 1)
        point = order[start : start + max(most // width, 1)]
        slot = torch.arange(width, device=target.device)
        pair = torch.where(slot < degree[point, None], first[point, None] + slot, len(target))
        pieces.append(Neighbourhoods(point, source[pair], pair))
        start += len(point)
    return pieces
