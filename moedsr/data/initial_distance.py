"""The signed distance to P0's surface as a smooth function: cubic splines on a grid that turns with the protein."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from moedsr.baselines import smoothed_distance
from moedsr.config import PrepareConfig
from moedsr.data.conformation import InitialConformation
from moedsr.data.protein_file import StoredProtein
from moedsr.geometry.canonical_frame import canonical_frame
from moedsr.geometry.radii import bondi_radii
from moedsr.geometry.surface import solvent_excluded_surface

_BORDER = 5  # nodes; the effect of a border on the coefficients falls by a factor of 3.7 with each


@dataclass(frozen=True, kw_only=True)
class InitialDistance:
    """Spline coefficients of one protein's signed distance in Å; made from P0 alone."""

    coefficients: NDArray[np.float32]  # (nx, ny, nz) Å
    frame: NDArray[np.float32]  # (3, 3) axes of the grid, as rows
    origin: NDArray[np.float32]  # (3,) Å along those axes, first node
    spacing: float  # Å

    @classmethod
    def of(cls, protein: StoredProtein | InitialConformation, settings: PrepareConfig) -> Self:
        """From P0's atoms, on a grid as fine as that of the preparation."""
        elements = protein.elements if isinstance(protein, StoredProtein) else protein.structure.elements
        frame = canonical_frame(protein.residue_positions)
        surface = solvent_excluded_surface(
            protein.atom_positions @ frame.T,
            bondi_radii(elements),
            probe_radius=settings.probe_radius,
            spacing=settings.grid_spacing,
            keep_cavities=settings.keep_cavities,
        )
        # continued beyond the band in which it was computed
        distance = smoothed_distance(surface.values, surface.grid.spacing, width=0.0)
        # with a straight continuation the spline keeps its slope at the border, where the model continues it likewise
        padded = np.pad(distance, _BORDER, mode="reflect", reflect_type="odd")
        coefficients = ndimage.spline_filter(padded, order=3, output=np.float32, mode="mirror")
        return cls(
            coefficients=np.ascontiguousarray(coefficients[(slice(_BORDER, -_BORDER),) * 3]),
            frame=frame.astype(np.float32),
            origin=np.asarray(surface.grid.origin, dtype=np.float32),
            spacing=float(surface.grid.spacing),
        )
