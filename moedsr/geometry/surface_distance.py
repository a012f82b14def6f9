"""How far points are from a surface."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from moedsr.geometry.mesh import Mesh

_SAMPLES = 200_000


def distance_to(surface: Mesh) -> Callable[[NDArray[np.floating]], NDArray[np.float64]]:
    """From points (P, 3) to distances (P,), in units of the mesh; infinite ones where the surface is empty.

    Distances are those to the nearest of 200,000 points on the surface, so a point on it has a small positive one: a
    twentieth of an Å on a protein of 10,000 Å².
    """
    if surface.is_empty:
        return lambda points: np.full(len(points), np.inf)
    # the mesh's own vertices would be too far apart on large triangles
    nearest = cKDTree(np.concatenate([surface.vertices, surface.sample(_SAMPLES, np.random.default_rng(1))[0]]))
    return lambda points: np.asarray(nearest.query(points)[0], dtype=np.float64)
