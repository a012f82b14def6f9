"""The solvent-accessible surface: where the centre of a probe can just be.

It is the boundary of a union of spheres of radius R_k = r_k + probe, so it consists of sphere patches, of
arcs where two spheres meet and of corners where three do. The solvent-excluded surface lies one probe inside.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from moedsr.geometry.compiled import compiled
from moedsr.geometry.sphere_cells import NONE, SphereCells, covering_sphere, deepest_spheres, sort_into_cells

Points = NDArray[np.float64]
Index = NDArray[np.int64]

_MARGIN = 2.0  # grid spacings around a sphere within which the field is exact
_NUDGE = 1e-4  # grid spacings: vertices of meshes lie on grid edges, and rounding is not to choose their cell


@dataclass(frozen=True)
class Grid:
    """Axis-aligned nodes origin + spacing * (i, j, k)."""

    origin: Points  # (3,) Å
    spacing: float  # Å
    shape: tuple[int, int, int]

    def positions(self, nodes: Index) -> Points:
        """Positions (P, 3) in Å of nodes given by flat index (P,)."""
        return self.origin + self.spacing * np.stack(np.unravel_index(nodes, self.shape), axis=1)


@dataclass(frozen=True)
class AccessibleField:
    """g(x) = min_k |x - c_k| - R_k on a grid: negative inside the union of the spheres."""

    grid: Grid
    values: NDArray[np.float32]  # grid shape, Å; capped at 2 spacings
    owners: NDArray[np.int32]  # grid shape, the sphere that attains the minimum, -1 where capped


def accessible_field(centres: Points, radii: NDArray[np.float64], spacing: float) -> AccessibleField:
    """The field of spheres (N, 3), (N,) in Å on the smallest grid with a border of outside nodes."""
    reach = radii + _MARGIN * spacing
    origin = (centres - reach[:, None]).min(axis=0)
    extent = (centres + reach[:, None]).max(axis=0) - origin
    nodes = np.ceil(extent / spacing).astype(int) + 1
    grid = Grid(origin, spacing, (int(nodes[0]), int(nodes[1]), int(nodes[2])))
    values, owners = _least_distances(grid, centres, radii, _MARGIN * spacing)
    return AccessibleField(grid, values, owners)


def _least_distances(
    grid: Grid, centres: Points, radii: NDArray[np.float64], margin: float
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """At each node the distance to the nearest sphere's surface, at most the margin, and that sphere or -1."""
    values = np.full(grid.shape, margin / grid.spacing, dtype=np.float32)
    owners = np.full(grid.shape, NONE, dtype=np.int32)
    _stamp((centres - grid.origin) / grid.spacing, radii / grid.spacing, margin / grid.spacing, values, owners)
    values *= np.float32(grid.spacing)
    return values, owners


class Creases(NamedTuple):
    """Samples of the arcs and corners of the surface, and which is nearest to each node of the grid."""

    samples: Points  # (C, 3)
    circles: Points  # (C, 7) middle, axis and radius of a sample's arc; radius -1 at a corner
    nearest: NDArray[np.int32]  # grid shape, -1 beyond reach


class AccessibleSurface:
    """The surface as spheres, and samples of its arcs and corners less than a grid spacing apart.

    With D the distance to the surface from inside, D >= -g, and where the foot of a point on the sphere that
    attains g is covered by no other sphere, it is the nearest point of the surface. Elsewhere that is on an
    arc or a corner.
    """

    def __init__(self, centres: Points, radii: NDArray[np.float64], field: AccessibleField, reach: float) -> None:
        """Spheres (N, 3), (N,) in Å with their field; feet are found for points at most `reach` deep."""
        self._reach = reach
        self._grid, self._owners = field.grid, field.owners
        self._spheres = np.column_stack([centres, radii])
        self._cells = sort_into_cells(centres, radii)
        samples, circles = self._find_creases(*_owner_changes(field.values, field.owners, field.grid.spacing))
        _, nearest = _least_distances(field.grid, samples, np.zeros(len(samples)), reach)
        self._creases = Creases(samples, circles, nearest)

    def depths(self, field: AccessibleField) -> NDArray[np.float32]:
        """The distance in Å of the field's inside nodes to the surface, at most the reach; the reach at any other."""
        depths = np.full(field.grid.shape, self._reach, dtype=np.float32)
        _node_depths(
            field.grid.origin,
            field.grid.spacing,
            field.values,
            field.owners,
            self._spheres,
            self._cells,
            self._creases,
            depths,
        )
        return depths

    def feet(self, points: Points) -> Points:
        """The nearest point (P, 3) of the surface to each point (P, 3) inside it; NaN beyond the reach."""
        return _feet(
            np.ascontiguousarray(points, dtype=np.float64),
            self._grid.origin,
            self._grid.spacing,
            self._owners,
            self._spheres,
            self._cells,
            self._creases,
        )

    def _find_creases(self, pairs: Index, middles: Points) -> tuple[Points, Points]:
        """Samples (C, 3) and their circles (C, 7), from pairs (E, 2) of neighbouring spheres near points (E, 3)."""
        middles = self._grid.origin + self._grid.spacing * middles
        circles = _circles(self._spheres[pairs])
        arcs = _circle_feet(middles, circles)
        close = np.linalg.norm(arcs - middles, axis=1) < 2.0 * self._grid.spacing  # false for NaN: no such circle
        arcs, pairs, circles = arcs[close], pairs[close], circles[close]
        blockers = deepest_spheres(arcs, self._cells)
        free = blockers == NONE
        corners = self._corners(pairs[~free], blockers[~free])
        samples = np.concatenate([arcs[free], corners])
        return samples, np.concatenate([circles[free], np.full((len(corners), 7), -1.0)])

    def _corners(self, pairs: Index, blockers: Index) -> Points:
        """Points on the surface where the spheres of blocked arc points meet the sphere that blocks them."""
        triples = np.sort(np.column_stack([pairs, blockers]), axis=1)
        _, first = np.unique(np.ravel_multi_index(tuple(triples.T), (len(self._spheres),) * 3), return_index=True)
        corners = _three_sphere_points(self._spheres[triples[first]])
        corners = corners[np.isfinite(corners).all(axis=1)]
        return corners[deepest_spheres(corners, self._cells) == NONE]


@compiled
def _stamp(
    centres: Points, radii: Points, margin: float, values: NDArray[np.float32], owners: NDArray[np.int32]
) -> None:
    """Lowers values to the distance to each sphere, where below the margin, and notes the sphere.

    Centres, radii, margin and values are in grid spacings.
    """
    for sphere in range(len(centres)):
        reach = radii[sphere] + margin
        x, y, z = centres[sphere, 0], centres[sphere, 1], centres[sphere, 2]
        low, high = max(0, int(np.ceil(z - reach))), min(values.shape[2], int(np.floor(z + reach)) + 1)
        radius, number, first = np.float32(radii[sphere]), np.int32(sphere), np.float32(low - z)
        for i in range(max(0, int(np.ceil(x - reach))), min(values.shape[0], int(np.floor(x + reach)) + 1)):
            for j in range(max(0, int(np.ceil(y - reach))), min(values.shape[1], int(np.floor(y + reach)) + 1)):
                square = (i - x) * (i - x) + (j - y) * (j - y)
                if square > reach * reach:
                    continue
                # slices, single precision and a choice instead of a branch: so the loop becomes vector instructions
                across, row, row_owners = np.float32(square), values[i, j, low:high], owners[i, j, low:high]
                for k in range(high - low):
                    along = first + np.float32(k)
                    distance = np.sqrt(across + along * along) - radius
                    nearer = distance < row[k]
                    row[k] = distance if nearer else row[k]
                    row_owners[k] = number if nearer else row_owners[k]


@compiled
def _owner_changes(values: NDArray[np.float32], owners: NDArray[np.int32], spacing: float) -> tuple[Index, Points]:
    """Pairs of spheres (E, 2) and midpoints (E, 3) of the grid edges near the surface between two owners.

    Midpoints are in spacings from the first node.
    """
    pairs, middles = [], []
    nx, ny, nz = values.shape
    for i in range(nx - 1):
        for j in range(ny - 1):
            for k in range(nz - 1):
                if abs(values[i, j, k]) >= spacing:
                    continue
                for axis in range(3):
                    a, b, c = i + (axis == 0), j + (axis == 1), k + (axis == 2)
                    here, there = owners[i, j, k], owners[a, b, c]
                    if here != there and abs(values[a, b, c]) < spacing:
                        pairs.append((min(here, there), max(here, there)))
                        middles.append((0.5 * (i + a), 0.5 * (j + b), 0.5 * (k + c)))
    found, points = np.empty((len(pairs), 2), dtype=np.int64), np.empty((len(pairs), 3))
    for edge in range(len(pairs)):
        found[edge, 0], found[edge, 1] = pairs[edge]
        points[edge, 0], points[edge, 1], points[edge, 2] = middles[edge]
    return found, points


@compiled
def _node_depths(
    grid_origin: Points,
    spacing: float,
    values: NDArray[np.float32],
    owners: NDArray[np.int32],
    spheres: Points,
    cells: SphereCells,
    creases: Creases,
    depths: NDArray[np.float32],
) -> None:
    """Lowers depths to the distance from each node inside to the surface, where it is less."""
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            for k in range(values.shape[2]):
                if values[i, j, k] >= 0 or -values[i, j, k] >= depths[i, j, k]:
                    continue
                x, y, z = grid_origin[0] + spacing * i, grid_origin[1] + spacing * j, grid_origin[2] + spacing * k
                u, v, w, _ = _sphere_foot(x, y, z, spheres[owners[i, j, k]])
                if covering_sphere(u, v, w, cells, False) != NONE:
                    crease = creases.nearest[i, j, k]
                    if crease == NONE:
                        continue
                    u, v, w = _crease_foot(x, y, z, crease, cells, creases)
                depth = np.sqrt((x - u) ** 2 + (y - v) ** 2 + (z - w) ** 2)
                depths[i, j, k] = min(np.float32(depth), depths[i, j, k])


@compiled
def _feet(
    points: Points,
    origin: Points,
    spacing: float,
    owners: NDArray[np.int32],
    spheres: Points,
    cells: SphereCells,
    creases: Creases,
) -> Points:
    """As AccessibleSurface.feet. Owner and crease are among those of the nodes around a point."""
    feet = np.empty_like(points)
    for p in range(len(points)):
        x, y, z = points[p, 0], points[p, 1], points[p, 2]
        i = min(max(int((x - origin[0]) / spacing + _NUDGE), 0), owners.shape[0] - 2)
        j = min(max(int((y - origin[1]) / spacing + _NUDGE), 0), owners.shape[1] - 2)
        k = min(max(int((z - origin[2]) / spacing + _NUDGE), 0), owners.shape[2] - 2)
        owner, least = NONE, np.inf
        for corner in range(8):
            sphere = owners[i + (corner & 1), j + (corner >> 1 & 1), k + (corner >> 2)]
            if sphere not in (NONE, owner):
                u, v, w, value = _sphere_foot(x, y, z, spheres[sphere])
                if value < least:
                    owner, least = sphere, value
                    feet[p, 0], feet[p, 1], feet[p, 2] = u, v, w
        if owner != NONE and covering_sphere(feet[p, 0], feet[p, 1], feet[p, 2], cells, False) == NONE:
            continue
        feet[p] = np.nan
        seen, nearest = NONE, np.inf
        for corner in range(8):
            crease = creases.nearest[i + (corner & 1), j + (corner >> 1 & 1), k + (corner >> 2)]
            if crease not in (NONE, seen):
                seen = crease
                if _least_square(x, y, z, crease, creases) >= nearest:
                    continue
                u, v, w = _crease_foot(x, y, z, crease, cells, creases)
                square = (x - u) ** 2 + (y - v) ** 2 + (z - w) ** 2
                if square < nearest:
                    nearest = square
                    feet[p, 0], feet[p, 1], feet[p, 2] = u, v, w
    return feet


@compiled
def _sphere_foot(x: float, y: float, z: float, sphere: Points) -> tuple[float, float, float, float]:
    """The nearest point of a sphere (4,), and the signed distance to it, negative inside."""
    dx, dy, dz = x - sphere[0], y - sphere[1], z - sphere[2]
    length = np.sqrt(dx * dx + dy * dy + dz * dz)
    stretch = sphere[3] / max(length, 1e-9)
    return sphere[0] + stretch * dx, sphere[1] + stretch * dy, sphere[2] + stretch * dz, length - sphere[3]


@compiled
def _crease_foot(
    x: float, y: float, z: float, crease: int, cells: SphereCells, creases: Creases
) -> tuple[float, float, float]:
    """The nearest point of the arc that a sample is on, or the sample itself where the arc has ended before."""
    sample, circle = creases.samples[crease], creases.circles[crease]
    if circle[6] >= 0:
        u, v, w = _circle_foot(x, y, z, circle)
        # past its end the arc is within a third sphere
        if covering_sphere(u, v, w, cells, False) == NONE:
            return u, v, w
    return sample[0], sample[1], sample[2]


@compiled
def _least_square(x: float, y: float, z: float, crease: int, creases: Creases) -> float:
    """Squared distance to the whole circle of a sample, which its arc is never nearer than; to a corner itself."""
    sample, circle = creases.samples[crease], creases.circles[crease]
    u, v, w = sample[0], sample[1], sample[2]
    if circle[6] >= 0:
        u, v, w = _circle_foot(x, y, z, circle)
    return (x - u) ** 2 + (y - v) ** 2 + (z - w) ** 2


@compiled
def _circle_foot(x: float, y: float, z: float, circle: Points) -> tuple[float, float, float]:
    """The nearest point of a circle (7,): middle, axis, radius."""
    dx, dy, dz = x - circle[0], y - circle[1], z - circle[2]
    along = dx * circle[3] + dy * circle[4] + dz * circle[5]
    dx, dy, dz = dx - along * circle[3], dy - along * circle[4], dz - along * circle[5]
    stretch = circle[6] / max(np.sqrt(dx * dx + dy * dy + dz * dz), 1e-9)
    return circle[0] + stretch * dx, circle[1] + stretch * dy, circle[2] + stretch * dz


@compiled
def _circle_feet(points: Points, circles: Points) -> Points:
    """The nearest point (P, 3) of each circle (P, 7) to each point (P, 3)."""
    feet = np.empty_like(points)
    for p in range(len(points)):
        feet[p, 0], feet[p, 1], feet[p, 2] = _circle_foot(points[p, 0], points[p, 1], points[p, 2], circles[p])
    return feet


def _circles(pairs: Points) -> Points:
    """Middle, axis and radius (P, 7) of the circles in which pairs (P, 2, 4) of spheres meet; NaN where they do not."""
    centres, radii = pairs[..., :3], pairs[..., 3]
    axis = centres[:, 1] - centres[:, 0]
    length = np.maximum(np.linalg.norm(axis, axis=1), 1e-9)
    axis /= length[:, None]
    along = (length**2 + radii[:, 0] ** 2 - radii[:, 1] ** 2) / (2.0 * length)
    with np.errstate(invalid="ignore"):
        radius = np.sqrt(radii[:, 0] ** 2 - along**2)
    return np.column_stack([centres[:, 0] + along[:, None] * axis, axis, radius])


def _three_sphere_points(triples: Points) -> Points:
    """Both points (2T, 3) where three spheres (T, 3, 4) meet; NaN where they do not."""
    centres, radii = triples[..., :3], triples[..., 3]
    with np.errstate(invalid="ignore", divide="ignore"):
        to_second, to_third = centres[:, 1] - centres[:, 0], centres[:, 2] - centres[:, 0]
        d = np.linalg.norm(to_second, axis=1, keepdims=True)
        x_axis = to_second / d
        i = np.einsum("ij,ij->i", x_axis, to_third)[:, None]
        y_axis = to_third - i * x_axis
        j = np.linalg.norm(y_axis, axis=1, keepdims=True)
        y_axis = y_axis / j
        r1, r2, r3 = (radii[:, [sphere]] for sphere in range(3))
        x = (r1**2 - r2**2 + d**2) / (2.0 * d)
        y = (r1**2 - r3**2 + i**2 + j**2 - 2.0 * i * x) / (2.0 * j)
        z = np.sqrt(r1**2 - x**2 - y**2) * np.cross(x_axis, y_axis)
    middle = centres[:, 0] + x * x_axis + y * y_axis
    return np.concatenate([middle + z, middle - z])
