"""Best rigid superposition of two conformations (W. Kabsch, Acta Cryst. A32, 922, 1976)."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from moedsr.errors import InputError

Rotation = NDArray[np.float64]
Translation = NDArray[np.float64]


def superpose(mobile: ArrayLike, target: ArrayLike) -> tuple[Rotation, Translation]:
    """Proper rotation (3, 3) and translation (3,) that bring `mobile` (N, 3) closest to `target` (N, 3).

    Move any point of the mobile conformation with ``points @ rotation.T + translation``. The determinant is
    always +1: a mirror image is never produced, even where it would fit better.

    Raises:
        InputError: arrays of different or wrong shape, no points, or coordinates that are not finite.
    """
    mobile = np.asarray(mobile, dtype=np.float64)
    target = np.asarray(target, dtype=np.float64)
    if mobile.shape != target.shape or mobile.ndim != 2 or mobile.shape[1] != 3 or not len(mobile):
        raise InputError(
            f"superposition of points {mobile.shape} on {target.shape}: both must be (N, 3) with one N >= 1"
        )
    if not (np.isfinite(mobile).all() and np.isfinite(target).all()):
        raise InputError("superposition of coordinates that are NaN or infinite: all must be finite")
    mobile_centre, target_centre = mobile.mean(axis=0), target.mean(axis=0)
    left, _, right = np.linalg.svd((target - target_centre).T @ (mobile - mobile_centre))
    handedness = np.array([1.0, 1.0, np.sign(np.linalg.det(left) * np.linalg.det(right))])
    rotation = (left * handedness) @ right
    return rotation, target_centre - rotation @ mobile_centre
