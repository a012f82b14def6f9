"""Solids on a grid: how much two of them share, and a signed distance blurred."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from moedsr.errors import InputError


def iou(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """|A ∩ B| / |A ∪ B| of two occupancies of one grid; two empty ones are equal, hence 1.

    Raises:
        InputError: grids of different shapes.
    """
    if first.shape != second.shape:
        raise InputError(f"IoU of grids {first.shape} and {second.shape}: they must be the same")
    union = int(np.count_nonzero(first | second))
    return int(np.count_nonzero(first & second)) / union if union else 1.0


def smoothed_distance(distance: NDArray[np.floating], spacing: float, width: float) -> NDArray[np.float32]:
    """P0's signed distance (n, n, n) in Å on a grid of `spacing` Å, blurred by a Gaussian of `width` Å."""
    return smoothed_distances(distance, spacing, [width])[0]


def smoothed_distances(
    distance: NDArray[np.floating], spacing: float, widths: Sequence[float]
) -> list[NDArray[np.float32]]:
    """The same, blurred by each of some widths.

    Far from the surface, where a stored distance is capped, it is continued by a distance transform: a capped
    outside would let the blurred surface swell.
    """
    distance = np.asarray(distance, dtype=np.float32)
    outside = ndimage.distance_transform_edt(distance >= 0) * spacing
    inside = ndimage.distance_transform_edt(distance < 0) * spacing
    half = 0.5 * spacing
    whole = np.where(distance < 0, np.minimum(distance, half - inside), np.maximum(distance, outside - half))
    near = np.abs(distance) < spacing
    whole = np.where(near, distance, whole).astype(np.float32)
    return [ndimage.gaussian_filter(whole, width / spacing, mode="nearest") for width in widths]
