"""The accessible surface as dots, by brute force: what surfaces are measured against."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

Points = NDArray[np.float64]

_SLACK = 1e-9  # Å²


def accessible_dots(
    centres: Points, radii: NDArray[np.float64], density: float = 64.0, arc_step: float = 0.05
) -> Points:
    """Dots (D, 3) on the patches, so many per Å², and on the arcs, so far apart in Å, of spheres (N, 3), (N,)."""
    close = KDTree(centres).query_ball_point(centres, 2 * radii.max())
    kept = []
    for i, near in enumerate(close):
        others = np.array([j for j in near if j != i], dtype=int)
        kept.append(_uncovered(_sphere_dots(centres[i], radii[i], density), centres[others], radii[others]))
        for j in others[others > i]:
            circle = _circle_dots(centres[[i, j]], radii[[i, j]], arc_step)
            third = others[others != j]
            kept.append(_uncovered(circle, centres[third], radii[third]))
    return np.concatenate(kept)


def _sphere_dots(centre: Points, radius: float, density: float) -> Points:
    count = int(density * 4 * np.pi * radius**2)
    height = 1 - 2 * (np.arange(count) + 0.5) / count
    turn, ring = np.pi * (1 + 5**0.5) * np.arange(count), np.sqrt(1 - height**2)
    return centre + radius * np.stack([ring * np.cos(turn), ring * np.sin(turn), height], axis=1)


def _circle_dots(centres: Points, radii: NDArray[np.float64], step: float) -> Points:
    axis = centres[1] - centres[0]
    length = float(np.linalg.norm(axis))
    if not abs(radii[0] - radii[1]) < length < radii.sum():
        return np.zeros((0, 3))
    axis /= length
    along = (length**2 + radii[0] ** 2 - radii[1] ** 2) / (2 * length)
    radius = np.sqrt(max(radii[0] ** 2 - along**2, 0.0))
    across = np.cross(axis, np.eye(3)[np.abs(axis).argmin()])
    across /= np.linalg.norm(across)
    count = max(3, int(2 * np.pi * radius / step))
    turn = 2 * np.pi * np.arange(count)[:, None] / count
    return centres[0] + along * axis + radius * (np.cos(turn) * across + np.sin(turn) * np.cross(axis, across))


def _uncovered(dots: Points, centres: Points, radii: NDArray[np.float64]) -> Points:
    # the nearest spheres cover most: dots that they cover need not meet the others
    for part in (
        np.array_split(np.argsort(np.linalg.norm(centres - dots.mean(0), axis=1) - radii), len(radii) // 8 + 1)
        if len(dots)
        else []
    ):
        squares = ((dots[:, None] - centres[part]) ** 2).sum(-1)
        dots = dots[(squares >= radii[part] ** 2 - _SLACK).all(axis=1)]
    return dots
