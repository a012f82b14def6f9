"""Surfaces as they are scored: all by the same inside test, the same mesher and the same points.

A surface comes from atoms or from a level on the metric grid. Scored, it is how far each node of the metric grid lies
inside, in parts of the grid's spacing: from that follow its inside test and its mesh, whoever predicted it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from moedsr.geometry.level_set import zero_surface
from moedsr.geometry.mesh import Mesh
from moedsr.geometry.surface import SolventExcludedSurface
from moedsr.geometry.surface_distance import TriangleTree

Points = NDArray[np.float64]
Fill = NDArray[np.uint8]

FARTHEST = 3.0
"""Å at which signed distances are truncated."""

INSIDE = 128
"""Least fill of a node inside."""

_STEPS = 127  # of the fill, from the surface to a spacing away from it


@dataclass(frozen=True)
class MetricGrid:
    """Every `stride`-th of `nodes` nodes per axis over [-1, 1]³ in normalised units."""

    nodes: int
    stride: int
    scale: float  # Å per normalised unit

    @cached_property
    def axis(self) -> Points:
        """(n,) normalised."""
        return np.linspace(-1.0, 1.0, self.nodes)[:: self.stride]

    @property
    def spacing(self) -> float:
        """Å."""
        return 2 * self.scale * self.stride / (self.nodes - 1)

    def places(self, nodes: NDArray[np.integer]) -> Points:
        """(K, 3) Å of nodes by their flat index (K,)."""
        count = len(self.axis)
        return np.stack([self.axis[i] for i in np.unravel_index(nodes, (count,) * 3)], axis=1) * self.scale


@dataclass(frozen=True)
class ScoredSurface:
    """One surface on the metric grid and at the probes, and the Cα it was made with."""

    fill: Fill  # (n, n, n) 0 a spacing outside or more, 255 a spacing inside, from INSIDE on inside
    distances: NDArray[np.float32]  # (P,) Å at the probes, positive outside, truncated
    residues: NDArray[np.float32] | None = None  # (R, 3) Å, Cα

    @property
    def inside(self) -> NDArray[np.bool_]:
        return self.fill >= INSIDE

    def mesh(self, grid: MetricGrid) -> Mesh:
        """In normalised units."""
        return mesh_of(self.fill, grid)

    def scored(self, grid: MetricGrid, probes: Points) -> "ScoredSurface":
        """Itself, so that a predictor may yield what was scored before."""
        return self


class Surface(Protocol):
    """What a predictor yields."""

    def scored(self, grid: MetricGrid, probes: Points) -> ScoredSurface:
        """The surface as it is scored, probes (P, 3) in Å about the centre of P0."""


@dataclass(frozen=True)
class AtomSurface:
    """The solvent-excluded surface of some conformation, Å about the centre of P0."""

    surface: SolventExcludedSurface
    residues: Points  # (R, 3) Cα

    def scored(self, grid: MetricGrid, probes: Points) -> ScoredSurface:
        level = self.surface.on_metric_grid(np.zeros(3), grid.scale, grid.nodes, grid.stride)
        distances = np.clip(self.surface.signed_distance(probes), -FARTHEST, FARTHEST).astype(np.float32)
        return ScoredSurface(fill_of(level, grid.spacing), distances, self.residues.astype(np.float32))


@dataclass(frozen=True)
class LevelSurface:
    """Where a level on the metric grid is zero: (n, n, n) in Å, negative inside, about as steep as a distance."""

    level: NDArray[np.floating]

    def scored(self, grid: MetricGrid, probes: Points) -> ScoredSurface:
        return scored_fill(fill_of(self.level, grid.spacing), grid, probes)


@dataclass(frozen=True)
class FillSum:
    """Sums over surfaces, from which their mean surface follows: inside where at least half of them are."""

    fill: NDArray[np.int32]  # (n, n, n)
    inside: NDArray[np.int32]  # (n, n, n)
    count: int

    @classmethod
    def of(cls, surfaces: Sequence[ScoredSurface]) -> Self:
        """Of one or more."""
        fill, inside = (np.zeros(surfaces[0].fill.shape, dtype=np.int32) for _ in range(2))
        for surface in surfaces:
            fill += surface.fill
            inside += surface.inside
        return cls(fill, inside, len(surfaces))

    def without(self, surfaces: Sequence[ScoredSurface]) -> "FillSum":
        """The sums of the others."""
        if not surfaces:
            return self
        others = FillSum.of(surfaces)
        return FillSum(self.fill - others.fill, self.inside - others.inside, self.count - others.count)

    def mean(self) -> Fill:
        """Of the mean surface: the count decides what is inside, the mean fill where between the nodes it ends."""
        mean = self.fill // self.count
        inside = 2 * self.inside >= self.count
        return np.where(inside, np.maximum(mean, INSIDE), np.minimum(mean, INSIDE - 1)).astype(np.uint8)


def fill_of(level: NDArray[np.floating], spacing: float) -> Fill:
    """From a level in Å, negative inside."""
    level = np.nan_to_num(level, nan=np.inf)  # a node without a number counts as outside
    depth = np.clip(np.abs(level) / spacing, 0.0, 1.0) * _STEPS
    return np.where(level < 0, INSIDE + depth, INSIDE - 1 - depth).astype(np.uint8)


def mesh_of(fill: Fill, grid: MetricGrid) -> Mesh:
    """In normalised units; closed where it reaches the border."""
    level = np.float32(INSIDE - 0.5) - fill
    return zero_surface(level, origin=np.full(3, -1.0), spacing=2.0 * grid.stride / (grid.nodes - 1))


def scored_fill(fill: Fill, grid: MetricGrid, probes: Points) -> ScoredSurface:
    """A surface of which the fill alone is known: its distances are those to its mesh."""
    mesh = mesh_of(fill, grid).moved(scale=grid.scale)
    far = TriangleTree(mesh).closest(probes, within=FARTHEST).distances
    # places in nodes; the mesher closes at the border what the nearest node continues
    places = (probes + grid.scale) / grid.spacing
    inside = map_coordinates(fill.astype(np.float32), places.T, order=1, mode="nearest") >= INSIDE - 0.5
    distances = np.where(inside, -1.0, 1.0) * np.minimum(far, FARTHEST)
    return ScoredSurface(fill, distances.astype(np.float32))
