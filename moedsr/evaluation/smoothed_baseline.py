"""The smoothed baseline on stored proteins: P0 blurred by a width fitted on the training proteins."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from moedsr.evaluation.baselines import fit_smoothing_width
from moedsr.geometry.occupancy import smoothed_distance
from moedsr.geometry.surface import SolventExcludedSurface
from moedsr.store.protein_file import StoredProtein


def smoothed_initial(
    initial: SolventExcludedSurface, scale: float, nodes: int, stride: int, width: float
) -> NDArray[np.float32]:
    """P0's signed distance in Å, blurred by ``width`` Å, on every ``stride``-th node of the metric grid."""
    # blurred on the full grid, then thinned: a coarse grid cannot hold a narrow Gaussian
    distance = initial.on_metric_grid(np.zeros(3), scale, nodes)
    blurred = smoothed_distance(distance, 2 * scale / (nodes - 1), width)
    return blurred[::stride, ::stride, ::stride]


def fit_width(
    proteins: Sequence[StoredProtein], initial: Sequence[SolventExcludedSurface], nodes: int, stride: int
) -> float:
    """Width in Å with the best mean IoU over the frames of the training proteins, on a strided metric grid."""
    coarse = slice(None, None, stride)

    def cases() -> list[tuple[NDArray[np.float32], float, list[NDArray[np.bool_]]]]:
        return [
            (
                surface.on_metric_grid(np.zeros(3), protein.scale, nodes)[coarse, coarse, coarse],
                stride * 2 * protein.scale / (nodes - 1),
                [protein.occupancy(i)[coarse, coarse, coarse] for i in range(1, len(protein))],
            )
            for protein, surface in zip(proteins, initial, strict=True)
        ]

    return fit_smoothing_width(cases())
