"""One protein's ensemble as it is scored: P0, the frames, and where surfaces are looked at."""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from moedsr.config import PrepareConfig
from moedsr.evaluation.metrics import MeasuredSurface
from moedsr.evaluation.scored_surface import AtomSurface, MetricGrid, ScoredSurface, Surface, scored_fill
from moedsr.geometry.fill import Fill, FillSum
from moedsr.geometry.surface import solvent_excluded_surface
from moedsr.store.protein_file import StoredProtein
from moedsr.structures.radii import bondi_radii

PROBES = 1000
"""Points of P0's surface at which signed distances are compared."""

ENDS = 6
"""Residues at each end of the chain that are scored apart from its core."""

_SAME = 0.02  # Å; a frame whose atoms are no farther from P0's is P0, rounded
_DSR_MARGIN = 1.1  # of the largest extent of all frames: the width of DSR's box


class Target:
    """What predictors are given of a protein, and what they are scored against.

    Honest predictors look at P0 alone (`protein.frame_atoms(0)`, `initial`); those that see the ensemble ask `others`,
    which never holds the frame that is scored, nor one of its replica where there are several.

    Args:
        protein: as stored.
        settings: of its store.
        stride: of the metric grid.
        surface_samples: most points on each surface for Chamfer and normals.
        thorough: whether the mean of the frames is one of their surfaces; else of their stored inside tests, which
            takes a fraction of the time and has the same inside, but a coarser mesh.
    """

    def __init__(
        self,
        protein: StoredProtein,
        settings: PrepareConfig,
        *,
        stride: int = 1,
        surface_samples: int = 10_000,
        thorough: bool = True,
    ) -> None:
        self.protein, self.settings, self.surface_samples = protein, settings, surface_samples
        self._thorough = thorough
        self.grid = MetricGrid(settings.occupancy_grid, stride, protein.scale)
        self._truths: dict[int, ScoredSurface] = {}
        self._measured: dict[int, MeasuredSurface] = {}

    @cached_property
    def frames(self) -> list[int]:
        """Those of the ensemble, without any that is P0 itself: naive would be scored against itself."""
        initial = self.protein.frame_atoms(0)
        later = range(1, len(self.protein))
        return [i for i in later if np.abs(self.protein.frame_atoms(i) - initial).max() > _SAME]

    @property
    def replicas(self) -> NDArray[np.int64]:
        """(F,) of every stored frame; P0 has 0."""
        return self.protein.replicas

    @cached_property
    def several_replicas(self) -> bool:
        """Whether frames can be predicted from replicas other than their own."""
        return len(set(self.replicas[self.frames].tolist())) > 1

    def others(self, frame: int) -> list[int]:
        """The frames of the other replicas; where there is one replica only, its other frames."""
        if self.several_replicas:
            return [i for i in self.frames if self.replicas[i] != self.replicas[frame]]
        return [i for i in self.frames if i != frame]

    def conformation(self, atoms: NDArray[np.floating]) -> AtomSurface:
        """The surface of the protein's atoms (N, 3) at any positions, Å about the centre of P0."""
        surface = solvent_excluded_surface(
            atoms,
            bondi_radii(self.protein.elements),
            probe_radius=self.settings.probe_radius,
            spacing=self.settings.grid_spacing,
            keep_cavities=self.settings.keep_cavities,
        )
        return AtomSurface(surface, np.asarray(atoms, dtype=np.float64)[self.protein.ca_index])

    @cached_property
    def initial(self) -> AtomSurface:
        """P0's."""
        return self.conformation(self.protein.frame_atoms(0))

    @cached_property
    def probes(self) -> NDArray[np.float64]:
        """(P, 3) points of P0's surface, uniform by area, Å about its centre."""
        return self.protein.frame(0).points[:PROBES].astype(np.float64)

    def scored(self, surface: Surface) -> ScoredSurface:
        """A surface as it is scored on this target."""
        return surface.scored(self.grid, self.probes)

    def measured(self, surface: ScoredSurface) -> MeasuredSurface:
        """Its mesh, to be compared with others."""
        return MeasuredSurface(surface.mesh(self.grid), self.surface_samples)

    @property
    def bytes_kept(self) -> int:
        """Of the true surfaces that were made."""
        return sum(s.fill.nbytes for s in self._truths.values()) + sum(m.nbytes for m in self._measured.values())

    def truth(self, frame: int) -> ScoredSurface:
        """A true frame, kept once it was asked for."""
        if frame not in self._truths:
            self._truths[frame] = self.scored(self.conformation(self.protein.frame_atoms(frame)))
        return self._truths[frame]

    def measured_truth(self, frame: int) -> MeasuredSurface:
        """Its mesh, kept too."""
        if frame not in self._measured:
            self._measured[frame] = self.measured(self.truth(frame))
        return self._measured[frame]

    def mean_of_others(self, frame: int) -> ScoredSurface:
        """The best static surface for a frame that it has not seen: inside where at least half of `others` are."""
        own = set(self.frames) - set(self.others(frame))
        fill = self._total.without([self._counted(i) for i in sorted(own)]).where()
        return scored_fill(fill, self.grid, self.probes)

    @cached_property
    def _total(self) -> FillSum:
        return FillSum.of([self._counted(i) for i in self.frames])

    def _counted(self, frame: int) -> Fill:
        if self._thorough:
            return self.truth(frame).fill
        step = self.grid.stride
        inside = self.protein.occupancy(frame)[::step, ::step, ::step]
        return np.where(inside, 255, 0).astype(np.uint8)

    @cached_property
    def dsr_unit(self) -> float:
        """Å per unit of DSR's code: half of 1.1 times the largest extent of all frames' surfaces."""
        points = [self.protein.frame(i).points for i in range(len(self.protein))]
        extents = np.max([p.max(0) for p in points], axis=0) - np.min([p.min(0) for p in points], axis=0)
        return _DSR_MARGIN * float(extents.max()) / 2

    def region(self, points: NDArray[np.floating]) -> NDArray[np.bool_]:
        """(P,) whether the Cα of P0 that is nearest to each point (P, 3) belongs to the chain's core."""
        nearest = np.asarray(cKDTree(self.protein.residue_positions).query(points)[1])
        return (nearest >= ENDS) & (nearest < len(self.protein.ca_index) - ENDS)
