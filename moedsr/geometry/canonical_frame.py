"""A frame of reference that turns with the protein."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

_SMALLEST = 1e-3  # of the summed distances from the mean: a shorter moment has no direction to trust


def canonical_frame(chain: ArrayLike) -> NDArray[np.float64]:
    """Right-handed axes (3, 3), as rows, from the order of the residues.

    The first axis runs from the chain's start to its end, the second from its middle to its ends: unlike principal
    axes they have neither a free sign nor a tie. A chain too short or too straight for them leaves the rest free:
    axes of the coordinates stand in, and the frame no longer turns with it.

    Args:
        chain: (R, 3) Cα in the order of the sequence.
    """
    positions = np.asarray(chain, dtype=np.float64)
    centred = positions - positions.mean(axis=0)
    place = (np.arange(len(positions)) + 0.5) / len(positions)
    enough = max(_SMALLEST * float(np.linalg.norm(centred, axis=1).sum()), 1e-6)
    moments = [((place - 0.5) @ centred, enough), (np.cos(2 * np.pi * place) @ centred, enough)]
    # of the three coordinate axes, one at least is far from any plane's normal and any line
    candidates = moments + [(axis, 0.5) for axis in np.eye(3)]
    axes: list[NDArray[np.float64]] = []
    for candidate, shortest in candidates:
        rest = candidate - sum(((axis @ candidate) * axis for axis in axes), np.zeros(3))
        length = float(np.linalg.norm(rest))
        if len(axes) < 2 and length > shortest:
            axes.append(rest / length)
    return np.stack([*axes, np.cross(axes[0], axes[1])])
