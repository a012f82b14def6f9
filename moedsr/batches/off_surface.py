"""The off-surface distribution D of the eikonal loss."""

import numpy as np
from numpy.typing import NDArray

from moedsr.store.conformation import SurfaceFrame


def draw(
    frame: SurfaceFrame, scale: float, count: int, global_fraction: float, random: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Surface samples of one frame and points of D around them, all normalised.

    One point of D per surface point, Gaussian with the surface's local sigma, and a fraction uniform
    over the cube.

    Args:
        frame: stored samples, Å.
        scale: Å per normalised unit.
        count: surface points wanted; drawn with repetition only when the frame holds fewer.
        global_fraction: uniform points per surface point.
        random: source of randomness.

    Returns:
        points (count, 3), normals (count, 3), off-surface points (count + round(count · global_fraction), 3).
    """
    chosen = random.choice(len(frame.points), count, replace=count > len(frame.points))
    unit = np.float32(scale)
    points = frame.points[chosen] / unit
    width = (frame.sigma[chosen] / unit)[:, None]
    local = points + width * random.standard_normal(points.shape, dtype=np.float32)
    everywhere = random.uniform(-1, 1, (round(count * global_fraction), 3)).astype(np.float32)
    return points, frame.normals[chosen], np.concatenate([local, everywhere])
