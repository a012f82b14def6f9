"""What lies around a point near P0's surface: P0 blurred, and how mobile the atoms look; functions of P0 alone."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from moedsr.batches.batch import SURROUNDING_BLURS
from moedsr.batches.mobility import AtomMobility
from moedsr.geometry.occupancy import smoothed_distance
from moedsr.geometry.surface import SolventExcludedSurface

_MARGIN = 6.0  # Å of grid beyond that of the surface
_STRIDE = 2  # nodes of the surface's grid for each of these
_REACHES = (2.0, 4.0)  # Å, widths of the Gaussians over which atoms are averaged
_FAINT = 1e-2  # atoms, against which the summed weight counts: averages fade where no atom is near
_DEPTH = 2.0  # bonds, unit of the feature
_LOOSENESS = (0.22, 0.04)  # Å², usual value and unit of the feature


def surroundings(
    surface: SolventExcludedSurface, mobility: AtomMobility
) -> tuple[NDArray[np.float32], NDArray[np.float64], float]:
    """Nodes (nx, ny, nz, C), the position (3,) of the first in Å, and their spacing in Å.

    Channels are the signed distance in Å blurred by each of SURROUNDING_BLURS, which is what the smoothed baseline
    thresholds; then, over two reaches, the average depth in the side chain and the average looseness of the atoms
    around, each about one in size.
    """
    spacing = float(surface.grid.spacing)
    margin = int(np.ceil(_MARGIN / spacing))
    distance = np.pad(surface.distances, margin, mode="edge")
    whole = smoothed_distance(distance, spacing, 0.0)
    thin = (slice(None, None, _STRIDE),) * 3
    blurred = [ndimage.gaussian_filter(whole, width / spacing, mode="nearest")[thin] for width in SURROUNDING_BLURS]
    origin = surface.grid.origin - margin * spacing
    spacing *= _STRIDE
    return np.stack([*blurred, *_averages(mobility, blurred[0].shape, origin, spacing)], axis=-1), origin, spacing


def _averages(
    mobility: AtomMobility, shape: tuple[int, ...], origin: NDArray[np.float64], spacing: float
) -> list[NDArray[np.float32]]:
    usual, unit = _LOOSENESS
    weights = (np.ones(len(mobility.depth)), mobility.depth / _DEPTH, (mobility.looseness - usual) / unit)
    grids = [_deposited(mobility.positions, weight, shape, origin, spacing) for weight in weights]
    averages = []
    for reach in _REACHES:
        # a density in atoms per node becomes a sum of Gaussians of height one
        height = (2 * np.pi) ** 1.5 * (reach / spacing) ** 3
        count, *sums = (height * ndimage.gaussian_filter(grid, reach / spacing, mode="constant") for grid in grids)
        averages += [total / (count + _FAINT) for total in sums]
    return averages


def _deposited(
    positions: NDArray[np.float64],
    weights: NDArray[np.float64],
    shape: tuple[int, ...],
    origin: NDArray[np.float64],
    spacing: float,
) -> NDArray[np.float32]:
    """Weights (N,) of points shared linearly among the eight nodes around each."""
    place = (positions - origin) / spacing
    lower = np.clip(np.floor(place).astype(np.int64), 0, np.array(shape) - 2)
    share = place - lower
    grid = np.zeros(shape, dtype=np.float32)
    for corner in np.ndindex(2, 2, 2):
        part = np.prod(np.where(corner, share, 1 - share), axis=1)
        np.add.at(grid, tuple((lower + corner).T), (weights * part).astype(np.float32))
    return grid
