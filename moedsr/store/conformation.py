"""Surfaces of conformations in the coordinates of the store: Å about the centre of P0.

Preparation and prediction both go through here, so a protein predicted from its PDB file meets the numbers
that the store holds of it, but for the places on its surface at which that is sampled: those follow from a name.
"""

import hashlib
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from moedsr.config import PrepareConfig
from moedsr.errors import InputError
from moedsr.geometry.mesh import Mesh
from moedsr.geometry.surface import SolventExcludedSurface, solvent_excluded_surface
from moedsr.store.encoding import round_positions
from moedsr.structures.radii import bondi_radii
from moedsr.structures.structure import Structure

SCALE_MARGIN = 1.25
"""Unit of the model over the radius of P0's surface: room for later frames, unseen."""

_NEIGHBOUR = 50
_NEIGHBOUR_DENSITY = 1.5  # vertices per Å² of the meshes for which the paper's 50th neighbour is meant
_SIGMA_RANGE = (0.5, 6.0)  # Å


@dataclass(frozen=True, slots=True)
class SurfaceFrame:
    """Area-uniform samples of one frame's surface, S points."""

    points: NDArray[np.float32]  # (S, 3) Å about the centre of P0
    normals: NDArray[np.float32]  # (S, 3) unit, outward
    sigma: NDArray[np.float32]  # (S,) Å, width of the off-surface distribution D at each point


@dataclass(frozen=True)
class InitialConformation:
    """P0: centre, scale, atoms, residues and surface."""

    name: str
    structure: Structure  # the atoms that make the surface
    centre: NDArray[np.float64]  # (3,) Å in the PDB's coordinates, mean of the Cα
    scale: float  # Å per normalised unit
    atom_positions: NDArray[np.float32]  # (N, 3) Å about the centre
    surface: SolventExcludedSurface  # about the centre
    mesh: Mesh  # Å about the centre
    frame: SurfaceFrame

    @classmethod
    def of(cls, structure: Structure, settings: PrepareConfig, name: str) -> Self:
        """Centre, scale and surface of a structure.

        Raises:
            InputError: atoms too far from the centre for the store's precision, or a grid beyond memory.
        """
        used = structure if settings.hydrogens else structure.without_hydrogens()
        centre = used.positions[used.ca_index].mean(axis=0)
        atoms = round_positions(used.positions - centre, f"{structure.path}: P0")
        surface = conformation_surface(atoms, used, settings)
        mesh = surface.mesh()
        if mesh.is_empty:
            raise InputError(
                f"{structure.path}: no surface with grid_spacing {settings.grid_spacing} Å; use a finer one"
            )
        scale = SCALE_MARGIN * float(np.linalg.norm(mesh.vertices, axis=1).max())
        frame = sample_surface(surface, mesh, settings.surface_points, name, 0)
        return cls(name, used, centre, scale, atoms, surface, mesh, frame)

    @property
    def residue_positions(self) -> NDArray[np.float32]:
        """(R, 3) Å, Cα about the centre."""
        return self.atom_positions[self.structure.ca_index]


def conformation_surface(
    atoms: NDArray[np.float32], structure: Structure, settings: PrepareConfig
) -> SolventExcludedSurface:
    """The solvent-excluded surface of the structure's atoms (N, 3) at other positions, in Å."""
    return solvent_excluded_surface(
        atoms,
        bondi_radii(structure.elements),
        probe_radius=settings.probe_radius,
        spacing=settings.grid_spacing,
        keep_cavities=settings.keep_cavities,
    )


def sample_surface(surface: SolventExcludedSurface, mesh: Mesh, count: int, name: str, frame: int) -> SurfaceFrame:
    """Points of the surface, uniform by its mesh's area; the same for the same mesh, protein name and frame number."""
    seed = hashlib.sha256(f"{name}:{frame}".encode()).digest()[:8]
    # triangles cut corners, the surface itself does not
    points, normals = surface.project(*mesh.sample(count, np.random.default_rng(int.from_bytes(seed, "little"))))
    return SurfaceFrame(
        points.astype(np.float32), normals.astype(np.float32), local_spread(mesh, points).astype(np.float32)
    )


def local_spread(mesh: Mesh, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard deviations (P,) in Å of D at surface points: the distance to the 50th neighbour.

    The 50th among vertices as dense as those of the meshes that the paper's recipe was made for; a finer grid
    has more vertices and looks at proportionally more: the result depends on neither grid nor samples.
    """
    density = len(mesh.vertices) / mesh.area
    neighbour = min(max(1, round(_NEIGHBOUR * density / _NEIGHBOUR_DENSITY)), len(mesh.vertices))
    distances = np.asarray(cKDTree(mesh.vertices).query(points, k=[neighbour])[0])
    return np.clip(distances[:, 0], *_SIGMA_RANGE)
