"""The solvent-excluded surface: what a rolling probe sphere cannot enter.

Its inside is the union of atom spheres grown by the probe radius, shrunk again by the probe radius: with D
the distance to the accessible surface from inside, f = probe - D is a signed distance near the surface,
negative inside. A grid distance transform finds where f is small; there D is exact (accessible_surface).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from moedsr.errors import InputError
from moedsr.geometry.accessible_surface import AccessibleField, AccessibleSurface, Grid, accessible_field
from moedsr.geometry.level_set import zero_surface
from moedsr.geometry.mesh import Mesh

Points = NDArray[np.float64]

_LARGEST_GRID = 1_000_000_000  # nodes


@dataclass(frozen=True)
class SolventExcludedSurface:
    """The surface as a signed distance on a grid. All lengths in Å."""

    grid: Grid
    values: NDArray[np.float32]  # (nx, ny, nz) signed distance, positive outside; exact beside the surface
    probe_radius: float
    accessible: AccessibleSurface

    def mesh(self) -> Mesh:
        """Watertight mesh with exact outward normals; vertices are much less than a spacing off."""
        mesh = zero_surface(self.values, origin=self.grid.origin, spacing=self.grid.spacing)
        if mesh.is_empty:
            return mesh
        outward = self.accessible.feet(mesh.vertices) - mesh.vertices
        depth = np.linalg.norm(outward, axis=1, keepdims=True)
        # within a hair of the accessible surface a direction cannot be told; the faces' own is kept there
        normals = np.where(depth > 0.1 * self.probe_radius, outward / np.maximum(depth, 1e-9), mesh.normals)
        # the mesh cuts corners between the nodes; moves are small, so that no triangle turns over
        reach = 0.25 * self.grid.spacing
        vertices = mesh.vertices + normals * np.clip(depth - self.probe_radius, -reach, reach)
        return Mesh(vertices, mesh.faces, normals)

    def signed_distance(self, points: ArrayLike) -> NDArray[np.float64]:
        """Signed distance (P,) at points (P, 3): trilinear on the grid, growing with the distance from it.

        Farther outside than the probe radius plus two spacings, but within the grid, it stays at that value.
        """
        local = (np.asarray(points, dtype=np.float64) - self.grid.origin) / self.grid.spacing
        inside = np.clip(local, 0.0, np.array(self.grid.shape) - 1.0)
        values = ndimage.map_coordinates(self.values, inside.T, order=1, output=np.float64)
        return values + self.grid.spacing * np.linalg.norm(local - inside, axis=1)

    def on_metric_grid(self, centre: ArrayLike, scale: float, nodes: int) -> NDArray[np.float32]:
        """Signed distance (n, n, n) on the metric grid ``centre + scale * linspace(-1, 1, nodes)``³.

        In Å, capped as above.
        """
        offset = np.asarray(centre, dtype=np.float64) - self.grid.origin
        values = self.values
        # that grid is aligned with ours, so trilinear interpolation goes axis by axis
        for axis, count in enumerate(self.grid.shape):
            local = (np.linspace(-1.0, 1.0, nodes) * scale + offset[axis]) / self.grid.spacing
            local = local.clip(0.0, count - 1.0)
            lower = np.minimum(local.astype(int), count - 2)
            weight = (local - lower).astype(np.float32).reshape([-1 if axis == other else 1 for other in range(3)])
            below = values.take(lower, axis=axis)
            values = below + weight * (values.take(lower + 1, axis=axis) - below)
        return values

    def occupancy(self, centre: ArrayLike, scale: float, nodes: int) -> NDArray[np.bool_]:
        """Inside test (nodes, nodes, nodes) on the same grid."""
        return self.on_metric_grid(centre, scale, nodes) < 0


def solvent_excluded_surface(
    positions: ArrayLike,
    radii: ArrayLike,
    *,
    probe_radius: float = 1.4,
    spacing: float = 0.5,
    keep_cavities: bool = False,
) -> SolventExcludedSurface:
    """The solvent-excluded surface of atoms (N, 3) with van der Waals radii (N,), all in Å.

    Args:
        positions: atom centres.
        radii: van der Waals radii.
        probe_radius: of the solvent.
        spacing: of the grid.
        keep_cavities: whether surfaces of cavities without a way out are kept.

    Raises:
        InputError: no atoms, wrong shapes, lengths that are not positive, coordinates that are not finite, or
            atoms so far apart that the grid would not fit into memory.
    """
    centres = np.asarray(positions, dtype=np.float64)
    grown = np.asarray(radii, dtype=np.float64) + probe_radius
    _check(centres, grown, probe_radius, spacing)
    field = accessible_field(centres, grown, spacing)
    accessible = AccessibleSurface(centres, grown, field)
    values = _signed_distance(field, accessible, probe_radius)
    if not keep_cavities:
        _fill_cavities(values)
    return SolventExcludedSurface(field.grid, values, probe_radius, accessible)


def _signed_distance(field: AccessibleField, accessible: AccessibleSurface, probe_radius: float) -> NDArray[np.float32]:
    spacing = field.grid.spacing
    inside = field.values < 0
    nearest = ndimage.distance_transform_edt(inside, return_distances=False, return_indices=True)
    nodes = np.flatnonzero(inside)
    steps = [
        nearest[axis].reshape(-1)[nodes] - along for axis, along in enumerate(np.unravel_index(nodes, inside.shape))
    ]
    depth = spacing * np.sqrt(sum(step**2 for step in steps))
    values = probe_radius + field.values
    flat = values.reshape(-1)
    # from node to node the depth is too large by half a spacing on average
    flat[nodes] = probe_radius + 0.5 * spacing - depth
    # no grid edge crosses the surface next to a node outside of this band
    band = nodes[(depth > probe_radius - spacing) & (depth < probe_radius + 2.0 * spacing)]
    points = field.grid.positions(band)
    flat[band] = probe_radius - np.linalg.norm(accessible.feet(points) - points, axis=1)
    return values


def _fill_cavities(values: NDArray[np.float32]) -> None:
    """Turns outside regions that do not reach the border into inside, in place."""
    regions, count = ndimage.label(values > 0)
    if count > 1:
        # the corner of the grid is outside always
        cavities = (regions > 0) & (regions != regions[0, 0, 0])
        np.negative(values, out=values, where=cavities)


def _check(centres: Points, grown: NDArray[np.float64], probe_radius: float, spacing: float) -> None:
    if centres.ndim != 2 or centres.shape[1] != 3 or grown.shape != centres.shape[:1] or not len(centres):
        raise InputError(
            f"positions {centres.shape} and radii {grown.shape}, but must be (N, 3) and (N,) with one N >= 1"
        )
    if not np.isfinite(centres).all():
        atom = int(np.flatnonzero(~np.isfinite(centres).all(axis=1))[0])
        raise InputError(f"atom {atom} has position {centres[atom].tolist()}, but it must be finite")
    for name, value in (("probe_radius", probe_radius), ("spacing", spacing)):
        if not (np.isfinite(value) and value > 0):
            raise InputError(f"{name} is {value}, but must be a length > 0 in Å")
    if not (np.isfinite(grown).all() and (grown > probe_radius).all()):
        atom = int(np.flatnonzero(~(grown > probe_radius) | ~np.isfinite(grown))[0])
        raise InputError(f"atom {atom} has radius {grown[atom] - probe_radius:g}, but must have one > 0 Å")
    nodes = float(np.prod((np.ptp(centres, axis=0) + 2.0 * grown.max()) / spacing))
    if nodes > _LARGEST_GRID:
        raise InputError(
            f"atoms over {np.ptp(centres, axis=0).round(1).tolist()} Å at spacing {spacing} need {nodes:.1e}"
            f" grid nodes, but at most {_LARGEST_GRID:.0e} are allowed: is the protein whole?"
        )
