"""What needs no learning: the scores a model has to beat, and the ceiling of static surfaces.

naive: P0 for every frame. smoothed: P0's signed distance, blurred. oracle: the thresholded mean of all other
frames, the best that one surface for all of them can do. random frame: another frame. All work on occupancies
of the metric grid, (n, n, n) bool, one a frame; a sequence may decode its frames on access.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from moedsr.errors import InputError
from moedsr.geometry.level_set import zero_surface
from moedsr.geometry.mesh import Mesh
from moedsr.geometry.occupancy import iou, smoothed_distance

Occupancy = NDArray[np.bool_]
Distance = NDArray[np.floating]

SMOOTHING_WIDTHS = (0.0, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
"""Å, among which the width is fitted."""


def naive_ious(initial: Occupancy, frames: Sequence[Occupancy]) -> NDArray[np.float64]:
    """IoU (F,) of P0's occupancy with every frame."""
    return np.array([iou(initial, frame) for frame in frames])


def random_frame_ious(frames: Sequence[Occupancy], rng: np.random.Generator) -> NDArray[np.float64]:
    """IoU (F,) of every frame with another one drawn at random."""
    _need_two(frames)
    others = other_frames(len(frames), rng)
    return np.array([iou(frames[other], frame) for other, frame in zip(others, frames, strict=True)])


def other_frames(count: int, rng: np.random.Generator) -> list[int]:
    """For each of two or more frames another one, drawn at random."""
    others: list[int] = ((np.arange(count) + rng.integers(1, count, count)) % count).tolist()
    return others


def leave_one_out_levels(frames: Sequence[Occupancy]) -> Iterator[NDArray[np.float32]]:
    """For each frame the level (n, n, n), negative where at least half of the other frames are inside."""
    _need_two(frames)
    total = np.zeros(frames[0].shape, dtype=np.int32)
    for frame in frames:
        total += frame
    others = len(frames) - 1
    # half a count below one half: ties are inside, and no node lies exactly on the level
    threshold = 0.5 - 0.25 / others
    for frame in frames:
        yield (threshold - (total - frame) / others).astype(np.float32)


def oracle_ious(frames: Sequence[Occupancy]) -> NDArray[np.float64]:
    """IoU (F,) of every frame with the thresholded mean occupancy of the others."""
    levels = leave_one_out_levels(frames)
    return np.array([iou(level < 0, frame) for level, frame in zip(levels, frames, strict=True)])


def smoothed_ious(distance: Distance, spacing: float, width: float, frames: Sequence[Occupancy]) -> NDArray[np.float64]:
    """IoU (F,) of the blurred P0 with every frame."""
    return naive_ious(smoothed_distance(distance, spacing, width) < 0, frames)


def fit_smoothing_width(
    proteins: Iterable[tuple[Distance, float, Sequence[Occupancy]]],
    widths: Sequence[float] = SMOOTHING_WIDTHS,
) -> float:
    """The width in Å with the best IoU, mean over frames and then over the training proteins.

    Args:
        proteins: P0's signed distance in Å, the grid's spacing in Å and the frames of each training protein.
        widths: candidates in Å.

    Raises:
        InputError: no proteins.
    """
    scores = [
        [float(smoothed_ious(distance, spacing, width, frames).mean()) for width in widths]
        for distance, spacing, frames in proteins
    ]
    if not scores:
        raise InputError("the smoothing width is fitted on 0 proteins, but needs at least 1 training protein")
    return float(widths[int(np.mean(scores, axis=0).argmax())])


def metric_grid_mesh(level: Distance, spacing: float | None = None) -> Mesh:
    """Mesh in normalised units of {level = 0} on a grid from (-1, -1, -1), negative inside.

    Args:
        level: (n, n, n).
        spacing: normalised; default that of n³ nodes over [-1, 1]³.
    """
    return zero_surface(level, origin=np.full(3, -1.0), spacing=spacing or 2.0 / (len(level) - 1))


def gap_closed(score: float, naive: float, oracle: float) -> float:
    """Share of the way from naive to oracle IoU: 0 is doing nothing, 1 the static ceiling; NaN if no gap."""
    gap = oracle - naive
    return (score - naive) / gap if gap > 1e-6 else float("nan")


def _need_two(frames: Sequence[Occupancy]) -> None:
    if len(frames) < 2:
        raise InputError(f"{len(frames)} frames given, but a frame can be compared with others from 2 on")
