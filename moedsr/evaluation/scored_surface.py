"""Surfaces as they are scored: all by the same inside test, the same mesher and the same points.

A surface comes from atoms or from a level on the metric grid. Scored, it is how far each node of the metric grid lies
inside, in parts of the grid's spacing: from that follow its inside test and its mesh, whoever predicted it.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from moedsr.geometry.fill import INSIDE, Fill, fill_of, mesh_of
from moedsr.geometry.mesh import Mesh
from moedsr.geometry.surface import SolventExcludedSurface
from moedsr.geometry.surface_distance import TriangleTree

Points = NDArray[np.float64]
FARTHEST = 3.0
"""Å at which signed distances are truncated."""


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
    def step(self) -> float:
        """Between nodes, normalised."""
        return 2.0 * self.stride / (self.nodes - 1)

    @property
    def spacing(self) -> float:
        """Between nodes, Å."""
        return self.scale * self.step

    def places(self, nodes: NDArray[np.integer]) -> Points:
        """(K, 3) Å of nodes by their flat index (K,)."""
        count = len(self.axis)
        return np.stack([self.axis[i] for i in np.unravel_index(nodes, (count,) * 3)], axis=1) * self.scale


@dataclass(frozen=True)
class ScoredSurface:
    """One surface on the metric grid and at the probes, and the Cα it was made with."""

    fill: Fill  # (n, n, n)
    distances: NDArray[np.float32]  # (P,) Å at the probes, positive outside, truncated
    residues: NDArray[np.float32] | None = None  # (R, 3) Å, Cα

    @property
    def inside(self) -> NDArray[np.bool_]:
        return self.fill >= INSIDE

    def mesh(self, grid: MetricGrid) -> Mesh:
        """In normalised units."""
        return mesh_of(self.fill, grid.step)

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


def scored_fill(fill: Fill, grid: MetricGrid, probes: Points) -> ScoredSurface:
    """A surface of which the fill alone is known: its distances are those to its mesh."""
    mesh = mesh_of(fill, grid.step).moved(scale=grid.scale)
    far = TriangleTree(mesh).closest(probes, within=FARTHEST).distances
    # places in nodes; the mesher closes at the border what the nearest node continues
    places = (probes + grid.scale) / grid.spacing
    inside = map_coordinates(fill.astype(np.float32), places.T, order=1, mode="nearest") >= INSIDE - 0.5
    distances = np.where(inside, -1.0, 1.0) * np.minimum(far, FARTHEST)
    return ScoredSurface(fill, distances.astype(np.float32))
