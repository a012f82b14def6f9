"""How far each node of a grid lies inside a surface, in parts of the grid's spacing: one byte a node.

From a fill follow the inside test and the mesh of a surface, and from fills of many the surface that is their mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from moedsr.geometry.level_set import zero_surface
from moedsr.geometry.mesh import Mesh

Fill = NDArray[np.uint8]
"""(n, n, n): 0 a spacing outside or more, 255 a spacing inside, from INSIDE on inside."""

INSIDE = 128
"""Least fill of a node inside."""

_STEPS = 127  # of the fill, from the surface to a spacing away from it


def fill_of(level: NDArray[np.floating], spacing: float) -> Fill:
    """From a level in the units of `spacing`, negative inside, about as steep as a distance."""
    level = np.nan_to_num(level, nan=np.inf)  # a node without a number counts as outside
    depth = np.clip(np.abs(level) / spacing, 0.0, 1.0) * _STEPS
    return np.where(level < 0, INSIDE + depth, INSIDE - 1 - depth).astype(np.uint8)


def mesh_of(fill: Fill, spacing: float) -> Mesh:
    """The surface on a grid from (-1, -1, -1) on; closed where it reaches the border."""
    return zero_surface(np.float32(INSIDE - 0.5) - fill, origin=np.full(3, -1.0), spacing=spacing)


@dataclass(frozen=True)
class FillSum:
    """Sums over surfaces, from which follows where how many of them are inside."""

    fill: NDArray[np.int32]  # (n, n, n)
    inside: NDArray[np.int32]  # (n, n, n)
    count: int

    @classmethod
    def of(cls, fills: Sequence[Fill]) -> Self:
        """Of one or more."""
        total, inside = (np.zeros(fills[0].shape, dtype=np.int32) for _ in range(2))
        for fill in fills:
            total += fill
            inside += fill >= INSIDE
        return cls(total, inside, len(fills))

    def plus(self, other: "FillSum") -> "FillSum":
        """The sums of both."""
        return FillSum(self.fill + other.fill, self.inside + other.inside, self.count + other.count)

    def without(self, fills: Sequence[Fill]) -> "FillSum":
        """The sums of the others."""
        if not fills:
            return self
        others = FillSum.of(fills)
        return FillSum(self.fill - others.fill, self.inside - others.inside, self.count - others.count)

    def where(self, share: float = 0.5) -> Fill:
        """Of the surface inside which at least this share of them is; a half gives their mean surface.

        The count decides what is inside, the mean fill where between the nodes it ends.
        """
        mean = self.fill // self.count
        inside = self.inside >= share * self.count - 1e-9
        return np.where(inside, np.maximum(mean, INSIDE), np.minimum(mean, INSIDE - 1)).astype(np.uint8)
