"""How far points are from a surface."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from moedsr.geometry.mesh import Mesh

_SAMPLES = 30_000
_TOLERANCE = 0.05  # of a distance: far points would else be compared with very many


def distance_to(surface: Mesh, *, within: float = np.inf) -> Callable[[NDArray[np.floating]], NDArray[np.float64]]:
    """From points (P, 3) to distances (P,), in units of the mesh; infinite beyond ``within``, and of an empty surface.

    Good enough to be shown as colours: distances are those to vertices and to 30,000 more points on the surface, up to
    5 % too long, so that a point on it has one of 0.1 to 0.3 Å on a protein.
    """
    if surface.is_empty:
        return lambda points: np.full(len(points), np.inf)
    # the mesh's own vertices would be too far apart on large triangles
    nearest = cKDTree(np.concatenate([surface.vertices, surface.sample(_SAMPLES, np.random.default_rng(1))[0]]))
    return lambda points: np.asarray(nearest.query(points, eps=_TOLERANCE, distance_upper_bound=within)[0])
