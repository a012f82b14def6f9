"""The solvent-excluded surface: what a rolling probe sphere cannot enter.

Its inside is the union of atom spheres grown by the probe radius, shrunk again by the probe radius: with D
the distance to the accessible surface from inside, f = probe - D is a signed distance near the surface,
negative inside. Near the surface D is exact (accessible_surface), on the grid and for any point.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from moedsr.errors import InputError
from moedsr.geometry.accessible_surface import AccessibleSurface, Grid, accessible_field
from moedsr.geometry.level_set import zero_surface
from moedsr.geometry.mesh import Mesh

Points = NDArray[np.float64]
Index = NDArray[np.int64]

FINE_SPACING = 0.5
"""Å of a grid whose mesh itself is the truth: its triangles are 0.02 Å off the surface."""

_LARGEST_GRID = 1_000_000_000  # nodes
_REACH = 1.25  # grid spacings inside the surface up to which values are exact: no edge of a node beyond crosses it
_EXACT_WITHIN = 0.3  # grid spacings: interpolation is not farther off, so that beyond no sign can be wrong


@dataclass(frozen=True)
class SolventExcludedSurface:
    """The surface as a signed distance on a grid. All lengths in Å."""

    grid: Grid
    values: NDArray[np.float32]  # (nx, ny, nz) signed distance, exact near the surface, alike far inside
    probe_radius: float
    accessible: AccessibleSurface

    def mesh(self) -> Mesh:
        """Watertight mesh with exact outward normals; vertices are much less than a spacing off."""
        mesh = zero_surface(self.values, origin=self.grid.origin, spacing=self.grid.spacing)
        if mesh.is_empty:
            return mesh
        vertices, normals = self.project(mesh.vertices, mesh.normals)
        return Mesh(vertices, mesh.faces, normals)

    def project(self, points: Points, normals: Points) -> tuple[Points, Points]:
        """Points (P, 3) beside the surface moved onto it, by a quarter of a spacing at most, and its normals there.

        Args:
            points: as off a mesh, which cuts corners between the nodes; moves are so small that no triangle turns.
            normals: (P, 3) kept within a hair of the accessible surface, where a direction cannot be told.
        """
        outward = self.accessible.feet(points) - points
        depth = np.linalg.norm(outward, axis=1, keepdims=True)
        known = depth > 0.1 * self.probe_radius  # false for NaN: farther inside than the surface ever is
        normals = np.where(known, outward / np.maximum(depth, 1e-9), normals)
        reach = 0.25 * self.grid.spacing
        move = np.where(np.isfinite(depth), np.clip(depth - self.probe_radius, -reach, reach), 0.0)
        return points + normals * move, normals

    @cached_property
    def distances(self) -> NDArray[np.float32]:
        """The values with depths far inside too, where those of the surface are all alike."""
        deep = self.values <= self.values.min()
        steps, nearest = ndimage.distance_transform_edt(deep, return_indices=True)
        return self.values[tuple(nearest)] - np.float32(self.grid.spacing) * steps.astype(np.float32)

    def signed_distance(self, points: ArrayLike) -> NDArray[np.float64]:
        """Signed distance (P,) at points (P, 3): trilinear on the grid, growing with the distance from it.

        Exact beside the surface. Farther outside than the probe radius plus two spacings, but within the grid, it
        stays at that value.
        """
        points = np.asarray(points, dtype=np.float64)
        local = (points - self.grid.origin) / self.grid.spacing
        inside = np.clip(local, 0.0, np.array(self.grid.shape) - 1.0)
        values = ndimage.map_coordinates(self.distances, inside.T, order=1, output=np.float64)
        near = self._beside_the_surface(values, inside.T)
        values[near] = self._exact(points[near], values[near])
        return values + self.grid.spacing * np.linalg.norm(local - inside, axis=1)

    def on_metric_grid(self, centre: ArrayLike, scale: float, nodes: int, stride: int = 1) -> NDArray[np.float32]:
        """Signed distance (n, n, n) on every `stride`-th node of the metric grid ``centre + scale * linspace(-1, 1,
        nodes)``³.

        In Å, capped as above; exact beside the surface.
        """
        return self._on_axes(self.distances, [axis[::stride] for axis in _axes(centre, scale, nodes)])

    def occupancy(self, centre: ArrayLike, scale: float, nodes: int) -> NDArray[np.bool_]:
        """Inside test (nodes, nodes, nodes) on the same grid."""
        axes = _axes(centre, scale, nodes)
        inside = np.zeros((nodes, nodes, nodes), dtype=np.bool_)
        # all that is beyond our grid is outside
        ends = self.grid.origin + self.grid.spacing * (np.array(self.grid.shape) - 1)
        covered = [
            slice(*np.searchsorted(axis, bounds))
            for axis, bounds in zip(axes, zip(self.grid.origin, ends, strict=True), strict=True)
        ]
        within = [axis[part] for axis, part in zip(axes, covered, strict=True)]
        if all(len(axis) for axis in within):
            inside[tuple(covered)] = self._on_axes(self.values, within) < 0
        return inside

    def _on_axes(self, values: NDArray[np.float32], axes: Sequence[NDArray[np.float64]]) -> NDArray[np.float32]:
        """The values interpolated at the nodes (a, b, c) of three axes, exact beside the surface."""
        places = []
        # that grid is aligned with ours, so trilinear interpolation goes axis by axis
        for axis, count in enumerate(self.grid.shape):
            local = ((axes[axis] - self.grid.origin[axis]) / self.grid.spacing).clip(0.0, count - 1.0)
            lower = np.minimum(local.astype(int), count - 2)
            weight = (local - lower).astype(np.float32).reshape([-1 if axis == other else 1 for other in range(3)])
            below = values.take(lower, axis=axis)
            values = below + weight * (values.take(lower + 1, axis=axis) - below)
            places.append(local)
        flat = values.reshape(-1)
        close = np.flatnonzero(np.abs(flat) < self._exact_within)
        index = np.unravel_index(close, values.shape)
        near = self._beside_the_surface(
            flat[close], np.stack([place[i] for place, i in zip(places, index, strict=True)])
        )
        points = np.stack([axis[i[near]] for axis, i in zip(axes, index, strict=True)], axis=1)
        flat[close[near]] = self._exact(points, flat[close[near]])
        return values

    @property
    def _exact_within(self) -> float:
        return min(_EXACT_WITHIN * self.grid.spacing, 0.5 * self.probe_radius)

    def _beside_the_surface(self, values: NDArray[np.floating], places: Points) -> Index:
        """Which of interpolated values (P,) at places (3, P) in spacings are next to the surface."""
        near = np.flatnonzero(np.abs(values) < self._exact_within)
        low = np.minimum(places[:, near].astype(int), np.array(self.grid.shape)[:, None] - 2)
        # a cell without a node outside may touch a cavity that was dropped, but not the surface
        outside = np.zeros(len(near), dtype=bool)
        for corner in np.ndindex(2, 2, 2):
            outside |= self.values[tuple(low + np.array(corner)[:, None])] > 0
        return near[outside]

    def _exact(self, points: Points, values: NDArray[np.floating]) -> NDArray[np.floating]:
        """The signed distance of points (P, 3) beside the surface; values (P,) where the grid alone knows."""
        exact = self.probe_radius - np.linalg.norm(self.accessible.feet(points) - points, axis=1)
        return np.where(np.isfinite(exact), exact, values)


def _axes(centre: ArrayLike, scale: float, nodes: int) -> list[NDArray[np.float64]]:
    """Coordinates of the metric grid's nodes along each axis."""
    return [middle + scale * np.linspace(-1.0, 1.0, nodes) for middle in np.asarray(centre, dtype=np.float64)]


def solvent_excluded_surface(
    positions: ArrayLike,
    radii: ArrayLike,
    *,
    probe_radius: float = 1.4,
    spacing: float = FINE_SPACING,
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
    accessible = AccessibleSurface(centres, grown, field, reach=probe_radius + _REACH * spacing)
    values = np.float32(probe_radius) + np.where(field.values < 0, -accessible.depths(field), field.values)
    if not keep_cavities:
        _fill_cavities(values)
    return SolventExcludedSurface(field.grid, values, probe_radius, accessible)


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
