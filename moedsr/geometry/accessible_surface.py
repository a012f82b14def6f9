"""The solvent-accessible surface: where the centre of a probe can just be.

It is the boundary of a union of spheres of radius R_k = r_k + probe, so it consists of sphere patches, of
arcs where two spheres meet and of corners where three do. The solvent-excluded surface lies one probe inside.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

Points = NDArray[np.float64]
Index = NDArray[np.int64]

_NONE = -1
_TOLERANCE = 1e-4  # Å², of the power distance: about 2e-5 Å
_MARGIN = 2.0  # grid spacings around a sphere within which the field is exact


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
    values = np.full(grid.shape, _MARGIN * spacing, dtype=np.float32)
    owners = np.full(grid.shape, _NONE, dtype=np.int32)
    ticks = [(np.arange(count) * spacing).astype(np.float32) for count in grid.shape]
    local = centres - origin
    first = np.ceil((local - reach[:, None]) / spacing).astype(int).clip(min=0)
    last = np.floor((local + reach[:, None]) / spacing).astype(int) + 1
    for sphere, (low, high) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        box = tuple(slice(low[axis], high[axis]) for axis in range(3))
        x, y, z = ((ticks[axis][box[axis]] - np.float32(local[sphere, axis])) ** 2 for axis in range(3))
        distance = x[:, None, None] + y[:, None] + z
        np.sqrt(distance, out=distance)
        distance -= np.float32(radii[sphere])
        nearer = distance < values[box]
        np.copyto(values[box], distance, where=nearer)
        np.copyto(owners[box], np.int32(sphere), where=nearer)
    return AccessibleField(grid, values, owners)


class AccessibleSurface:
    """The surface as spheres, and samples of its arcs and corners less than a grid spacing apart.

    Where the nearest point lies within a sphere patch, it is the foot on the sphere that attains the minimum
    of the field; that is tested exactly. Elsewhere it is on an arc or a corner.
    """

    def __init__(self, centres: Points, radii: NDArray[np.float64], field: AccessibleField) -> None:
        self._centres, self._radii = centres, radii
        self._grid, self._owners = field.grid, field.owners
        largest = float(radii.max())
        # |x - c|² - R² as a squared distance in four dimensions: one query finds the sphere deepest around x
        self._power_tree = KDTree(np.column_stack([centres, np.sqrt(largest**2 - radii**2)]), balanced_tree=False)
        self._power_bound = float(np.sqrt(largest**2 - _TOLERANCE))

        pairs, middles = _owner_changes(field)
        arcs = self._circle_feet(middles, pairs)
        close = np.linalg.norm(arcs - middles, axis=1) < 2.0 * field.grid.spacing  # false for NaN: no such circle
        arcs, pairs = arcs[close], pairs[close]
        blockers = self._blockers(arcs)
        free = blockers == _NONE
        corners = self._corners(pairs[~free], blockers[~free])
        self._samples = np.concatenate([arcs[free], corners])
        self._pairs = np.concatenate([pairs[free], np.full((len(corners), 2), _NONE)])
        self._tree = KDTree(self._samples, balanced_tree=False) if len(self._samples) else None

    def feet(self, points: Points) -> Points:
        """The nearest point (P, 3) of the surface to each point (P, 3) inside it."""
        nodes = np.rint((points - self._grid.origin) / self._grid.spacing).astype(int)
        nodes = nodes.clip(0, np.array(self._grid.shape) - 1)
        feet = self._sphere_feet(points, self._owners[tuple(nodes.T)])
        if self._tree is not None:
            blocked = np.flatnonzero(self._blockers(feet) != _NONE)
            feet[blocked] = self._crease_feet(points[blocked])
        return feet

    def _crease_feet(self, points: Points) -> Points:
        """The nearest point (P, 3) on an arc or a corner."""
        assert self._tree is not None
        _, nearest = self._tree.query(points)
        feet, pairs = self._samples[nearest], self._pairs[nearest]
        on_arc = np.flatnonzero(pairs[:, 0] != _NONE)
        exact = self._circle_feet(points[on_arc], pairs[on_arc])
        # past its end the arc is within a third sphere
        kept = self._blockers(exact) == _NONE
        feet[on_arc[kept]] = exact[kept]
        return feet

    def _sphere_feet(self, points: Points, spheres: Index) -> Points:
        offset = points - self._centres[spheres]
        length = np.maximum(np.linalg.norm(offset, axis=1), 1e-9)
        return self._centres[spheres] + offset * (self._radii[spheres] / length)[:, None]

    def _circle_feet(self, points: Points, pairs: Index) -> Points:
        """Nearest points on the circles in which pairs (P, 2) of spheres meet; NaN where they do not."""
        centre, radius = self._centres[pairs], self._radii[pairs]
        axis = centre[:, 1] - centre[:, 0]
        length = np.maximum(np.linalg.norm(axis, axis=1), 1e-9)
        axis /= length[:, None]
        along = (length**2 + radius[:, 0] ** 2 - radius[:, 1] ** 2) / (2.0 * length)
        with np.errstate(invalid="ignore"):
            circle_radius = np.sqrt(radius[:, 0] ** 2 - along**2)
        middle = centre[:, 0] + along[:, None] * axis
        offset = points - middle
        offset -= np.einsum("ij,ij->i", offset, axis)[:, None] * axis
        size = np.maximum(np.linalg.norm(offset, axis=1), 1e-9)
        return middle + offset * (circle_radius / size)[:, None]

    def _blockers(self, points: Points) -> Index:
        """For each point (P, 3) the sphere that it lies deepest in, or -1 for a point on the surface."""
        lifted = np.column_stack([points, np.zeros(len(points))])
        _, sphere = self._power_tree.query(lifted, distance_upper_bound=self._power_bound)
        return np.where(sphere == len(self._radii), _NONE, sphere)

    def _corners(self, pairs: Index, blockers: Index) -> Points:
        """Points on the surface where the spheres of blocked arc points meet the sphere that blocks them."""
        triples = np.unique(np.sort(np.column_stack([pairs, blockers]), axis=1), axis=0)
        corners = _three_sphere_points(self._centres[triples], self._radii[triples])
        corners = corners[np.isfinite(corners).all(axis=1)]
        return corners[self._blockers(corners) == _NONE]


def _owner_changes(field: AccessibleField) -> tuple[Index, Points]:
    """Pairs of spheres (E, 2) and midpoints (E, 3) of the grid edges near the surface between two owners."""
    near = np.abs(field.values) < field.grid.spacing
    pairs, middles = [], []
    for axis in range(3):
        ahead = tuple(slice(1, None) if other == axis else slice(None) for other in range(3))
        behind = tuple(slice(None, -1) if other == axis else slice(None) for other in range(3))
        change = near[ahead] & near[behind] & (field.owners[ahead] != field.owners[behind])
        index = np.stack(np.nonzero(change), axis=1)
        pairs.append(np.column_stack([field.owners[behind][change], field.owners[ahead][change]]))
        middles.append(field.grid.origin + field.grid.spacing * (index + 0.5 * (np.arange(3) == axis)))
    return np.sort(np.concatenate(pairs), axis=1).astype(np.int64), np.concatenate(middles)


def _three_sphere_points(centres: Points, radii: NDArray[np.float64]) -> Points:
    """Both points (2T, 3) where three spheres (T, 3, 3), (T, 3) meet; NaN where they do not."""
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
