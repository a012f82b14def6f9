"""Scores of a predicted distribution of surfaces against the frames of an ensemble.

Each says in its docstring what it is, its range and which direction is better. Pairs of samples are pairs of different
ones, so that no score depends on their number but by chance; the frequency of a node is the plain mean.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

BINS = 10
"""Of a reliability diagram."""

MODES = 10
"""Principal components that RMSIP compares."""


@dataclass(frozen=True)
class Occupancies:
    """Inside tests of S samples and F frames on the nodes that are not the same in all of them."""

    samples: Mask  # (S, K)
    frames: Mask  # (F, K)
    always: int  # further nodes that are inside in all

    def restricted(self, nodes: Mask, always: int) -> Self:
        """A part of space alone."""
        return type(self)(self.samples[:, nodes], self.frames[:, nodes], always)

    def distances(self) -> tuple[Floats, Floats]:
        """1 - IoU of samples with frames (S, F), and of samples among themselves (S, S)."""
        samples, frames = self.samples.astype(np.float32), self.frames.astype(np.float32)
        return _iou_distance(samples, frames, self.always), _iou_distance(samples, samples, self.always)


def _iou_distance(first: NDArray[np.float32], second: NDArray[np.float32], always: int) -> Floats:
    shared = (first @ second.T).astype(np.float64)
    union = first.sum(1, dtype=np.float64)[:, None] + second.sum(1, dtype=np.float64) - shared + always
    return 1 - np.divide(shared + always, union, out=np.ones_like(union), where=union > 0)


def energy_scores(to_frames: Floats, among: Floats) -> Floats:
    """Energy score (F,) of each frame y: E d(X, y) - ½ E d(X, X'), d = 1 - IoU; 0 and above, lower is better.

    Args:
        to_frames: (S, F) distances of samples X to the frames.
        among: (S, S) distances of samples.
    """
    count = len(among)
    inner = among.sum() / (count * (count - 1)) if count > 1 else 0.0
    return to_frames.mean(0) - 0.5 * inner


def brier_scores(frequency: Floats, frames: Mask) -> Floats:
    """Brier score (F,): mean square of the frequency (K,) of inside less what each frame (F, K) is; 0 to 1, lower."""
    if not frames.shape[1]:
        return np.full(len(frames), np.nan)
    return np.square(frequency - frames).mean(1)


def reliability(frequency: Floats, frames: Mask) -> Floats:
    """(BINS, 3) of each bin of predicted frequencies strictly between 0 and 1: nodes and frames in it, the sum of
    what was predicted, and of what was found. Calibrated: the last two are equal in each bin.
    """
    between = (frequency > 0) & (frequency < 1)
    predicted, found = frequency[between], frames[:, between].sum(0)
    bins = np.minimum((predicted * BINS).astype(int), BINS - 1)
    counts = [np.bincount(bins, weights, BINS) for weights in (np.ones(len(bins)), predicted)]
    return np.stack([len(frames) * counts[0], len(frames) * counts[1], np.bincount(bins, found, BINS)], axis=1)


def crps(samples: NDArray[np.floating], frames: NDArray[np.floating]) -> Floats:
    """Continuous ranked probability score (F, P) in Å of signed distances at P points: E|X - y| - ½ E|X - X'|; lower.

    Args:
        samples: (S, P) truncated distances of the samples X.
        frames: (F, P) of the frames y.
    """
    count = len(samples)
    ordered = np.sort(samples.astype(np.float64), axis=0)
    rank = 2 * np.arange(1, count + 1) - count - 1
    inner = 2 * (rank @ ordered) / (count * (count - 1)) if count > 1 else np.zeros(samples.shape[1])
    return np.stack([np.abs(ordered - frame).mean(0) for frame in frames]) - 0.5 * inner


def fluctuation(samples: NDArray[np.floating], frames: NDArray[np.floating]) -> tuple[float, float]:
    """Surface RMSF, the standard deviation over samples of the truncated distance at each point of P0's surface.

    Returns:
        its correlation with that of the frames over the points (-1 to 1, higher is better), and the ratio of the root
        mean squares of both (1 is best). NaN of fewer than three frames or two samples.
    """
    if len(samples) < 2 or len(frames) < 3:
        return float("nan"), float("nan")
    own, true = (x.astype(np.float64).std(0, ddof=1) for x in (samples, frames))
    if own.std() == 0 or true.std() == 0:
        return float("nan"), float(np.sqrt(np.mean(own**2) / np.mean(true**2))) if true.any() else float("nan")
    return float(np.corrcoef(own, true)[0, 1]), float(np.sqrt(np.mean(own**2) / np.mean(true**2)))


def coverage(to_frames: Floats) -> tuple[float, float]:
    """Coverage: mean over frames of the IoU of the nearest sample; precision: mean over samples of that of the nearest
    frame. 0 to 1, higher is better, and higher with more samples or frames. NaN of one sample or frame."""
    if min(to_frames.shape) < 2:
        return float("nan"), float("nan")
    return float(1 - to_frames.min(0).mean()), float(1 - to_frames.min(1).mean())


def subspace_overlap(samples: NDArray[np.floating], frames: NDArray[np.floating]) -> tuple[float, float]:
    """RMSIP of the first MODES principal components of the Cα, and the covariance overlap (Hess, Phys. Rev. E 65,
    031910, 2002) of all; 0 to 1, higher is better. NaN where either has fewer than three conformations.

    Args:
        samples: (S, R, 3) Å, superposed.
        frames: (F, R, 3).
    """
    if len(samples) < 3 or len(frames) < 3:
        return float("nan"), float("nan")
    (values, modes), (others, axes) = _components(samples), _components(frames)
    squares = np.square(modes @ axes.T)
    most = min(MODES, *squares.shape)
    rmsip = float(np.sqrt(squares[:most, :most].sum() / most))
    total = float(values.sum() + others.sum())
    apart = total - 2 * float(np.sqrt(values) @ squares @ np.sqrt(others))
    return rmsip, 1 - float(np.sqrt(max(apart, 0.0) / total))


def _components(conformations: NDArray[np.floating]) -> tuple[Floats, Floats]:
    """Variances (m,) and orthonormal directions (m, 3R), largest first."""
    flat = conformations.reshape(len(conformations), -1).astype(np.float64)
    _, singular, directions = np.linalg.svd(flat - flat.mean(0), full_matrices=False)
    kept = singular > 1e-6 * singular[0]
    return singular[kept] ** 2 / (len(flat) - 1), directions[kept]
