"""Spheres sorted into cubic cells, so that those around a point are found without looking at all of them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from moedsr.geometry.compiled import compiled

Points = NDArray[np.float64]
Index = NDArray[np.int64]

NONE = -1
_TOLERANCE = 1e-4  # Å², of the power distance |x - c|² - R²: about 2e-5 Å


class SphereCells(NamedTuple):
    """Spheres in the order of their cells, along the last axis first; a cell is as wide as the largest radius."""

    origin: Points  # (3,) Å, corner of the first cell
    width: float  # Å
    shape: Index  # (3,) cells
    starts: Index  # (cells + 1,) first sphere of each cell
    spheres: Points  # (N, 4) centre and squared radius
    numbers: Index  # (N,) each sphere's number before sorting


def sort_into_cells(centres: Points, radii: NDArray[np.float64]) -> SphereCells:
    """Cells of spheres (N, 3), (N,) in Å, with a border of empty cells."""
    width = float(radii.max())
    origin = centres.min(axis=0) - 1.5 * width
    cells = ((centres - origin) / width).astype(np.int64)
    shape = cells.max(axis=0) + 2
    flat = np.ravel_multi_index(tuple(cells.T), tuple(shape))
    order = np.argsort(flat, kind="stable")
    starts = np.searchsorted(flat[order], np.arange(int(np.prod(shape)) + 1))
    spheres = np.column_stack([centres[order], radii[order] ** 2])
    return SphereCells(origin, width, shape, starts.astype(np.int64), spheres, order)


@compiled
def covering_sphere(x: float, y: float, z: float, cells: SphereCells, deepest: bool) -> int:
    """A sphere that holds the point by more than rounding, or -1; the one of least power distance if asked for."""
    i = int(np.floor((x - cells.origin[0]) / cells.width))
    j = int(np.floor((y - cells.origin[1]) / cells.width))
    k = int(np.floor((z - cells.origin[2]) / cells.width))
    found, least = NONE, -_TOLERANCE
    low, high = max(k - 1, 0), min(k + 2, cells.shape[2])
    if low >= high:
        return found
    reach = cells.width * cells.width
    # the middle row first: what covers a point is most often near
    for step_i in (0, -1, 1):
        a = i + step_i
        if a < 0 or a >= cells.shape[0]:
            continue
        edge = cells.origin[0] + cells.width * a - x
        across = max(edge, -edge - cells.width, 0.0)
        for step_j in (0, -1, 1):
            b = j + step_j
            if b < 0 or b >= cells.shape[1]:
                continue
            edge = cells.origin[1] + cells.width * b - y
            along = max(edge, -edge - cells.width, 0.0)
            if across * across + along * along > reach:
                continue
            row = (a * cells.shape[1] + b) * cells.shape[2]
            for sphere in range(cells.starts[row + low], cells.starts[row + high]):
                dx, dy, dz = x - cells.spheres[sphere, 0], y - cells.spheres[sphere, 1], z - cells.spheres[sphere, 2]
                power = dx * dx + dy * dy + dz * dz - cells.spheres[sphere, 3]
                if power < least:
                    found, least = cells.numbers[sphere], power
                    if not deepest:
                        return found
    return found


@compiled
def deepest_spheres(points: Points, cells: SphereCells) -> Index:
    """The covering sphere (P,) of least power distance of each point (P, 3), or -1."""
    found = np.empty(len(points), dtype=np.int64)
    for p in range(len(points)):
        found[p] = covering_sphere(points[p, 0], points[p, 1], points[p, 2], cells, True)
    return found
