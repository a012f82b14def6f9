"""P0 as smooth functions, its signed distance above all: cubic splines on grids that turn with the protein."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from moedsr.batches.mobility import atom_mobility
from moedsr.batches.surroundings import surroundings
from moedsr.config import PrepareConfig
from moedsr.geometry.canonical_frame import canonical_frame
from moedsr.geometry.surface import FINE_SPACING, SolventExcludedSurface, solvent_excluded_surface
from moedsr.store.conformation import InitialConformation
from moedsr.store.protein_file import StoredProtein
from moedsr.structures.radii import bondi_radii

_BORDER = 10  # nodes; the effect of a border on the coefficients falls by a factor of 3.7 with each
_FAR_SPACING = 1.5  # Å; less than the probe's radius, so that no groove is missed
_FAR_REACH = 1.2  # normalised, half the edge of the far grid


@dataclass(frozen=True, kw_only=True)
class SplineGrid:
    """Spline coefficients of one function, or of C."""

    coefficients: NDArray[np.float32]  # (nx, ny, nz) or (nx, ny, nz, C)
    origin: NDArray[np.float32]  # (3,) Å, first node
    spacing: float  # Å

    @classmethod
    def through(cls, values: NDArray[np.floating], origin: NDArray[np.floating], spacing: float) -> Self:
        """The spline that takes these values (nx, ny, nz), or (nx, ny, nz, C), at the nodes."""
        if values.ndim == 4:
            each = [cls.through(channel, origin, spacing).coefficients for channel in np.moveaxis(values, -1, 0)]
            stacked = np.stack(each, axis=-1)
            return cls(coefficients=stacked, origin=np.asarray(origin, dtype=np.float32), spacing=spacing)
        # with a straight continuation the spline keeps its slope at the border, where the model continues it likewise
        padded = np.pad(values, _BORDER, mode="reflect", reflect_type="odd")
        coefficients = ndimage.spline_filter(padded, order=3, output=np.float32, mode="mirror")
        inner = np.ascontiguousarray(coefficients[(slice(_BORDER, -_BORDER),) * 3])
        return cls(coefficients=inner, origin=np.asarray(origin, dtype=np.float32), spacing=spacing)


@dataclass(frozen=True, kw_only=True)
class InitialDistance:
    """One protein's signed distance; made from P0 alone."""

    near: SplineGrid  # fine, right within the probe's radius of the surface
    far: SplineGrid  # coarse, over all that is ever asked
    around: SplineGrid  # surroundings of points near the surface
    frame: NDArray[np.float32]  # (3, 3) axes of the grids, as rows

    @classmethod
    def of(cls, protein: StoredProtein | InitialConformation, settings: PrepareConfig) -> Self:
        """From P0's atoms, in a frame that is given by the chain and not by the coordinates of its file."""
        elements = protein.elements if isinstance(protein, StoredProtein) else protein.structure.elements
        frame = canonical_frame(protein.residue_positions)
        surface = solvent_excluded_surface(
            protein.atom_positions @ frame.T,
            bondi_radii(elements),
            probe_radius=settings.probe_radius,
            spacing=min(settings.grid_spacing, FINE_SPACING),
            keep_cavities=settings.keep_cavities,
        )
        ca_index = protein.ca_index if isinstance(protein, StoredProtein) else protein.structure.ca_index
        mobility = atom_mobility(protein.atom_positions @ frame.T, elements, ca_index)
        return cls(
            near=SplineGrid.through(surface.distances, surface.grid.origin, float(surface.grid.spacing)),
            far=_far_grid(surface, protein.scale * _FAR_REACH),
            around=SplineGrid.through(*surroundings(surface, mobility)),
            frame=frame.astype(np.float32),
        )


def _far_grid(surface: SolventExcludedSurface, half_width: float) -> SplineGrid:
    """The distance to the nearest vertex, with the sign of the fine grid."""
    steps = int(np.ceil(half_width / _FAR_SPACING))
    axis = _FAR_SPACING * np.arange(-steps, steps + 1)
    nodes = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1)
    # this form of tree answers points far from all vertices seven times as fast, and says the same
    tree = cKDTree(surface.mesh().vertices, compact_nodes=False, balanced_tree=False)
    distance, _ = tree.query(nodes.reshape(-1, 3))
    inside = surface.signed_distance(nodes.reshape(-1, 3)) < 0
    signed = np.where(inside, -distance, distance).reshape(nodes.shape[:3])
    return SplineGrid.through(signed, np.full(3, axis[0]), _FAR_SPACING)
