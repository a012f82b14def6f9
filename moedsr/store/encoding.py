"""Compact integers of the store: positions to 0.01 Å, normals to half a degree, occupancy as run lengths."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from moedsr.errors import InputError

POSITION_STEP = 0.01
"""Å per unit of a stored position."""

_LARGEST_POSITION = POSITION_STEP * np.iinfo(np.int16).max
_LARGEST_NORMAL = 127
_LONGEST_RUN = int(np.iinfo(np.uint16).max)


def encode_positions(positions: ArrayLike, where: str) -> NDArray[np.int16]:
    """Positions in Å to int16.

    Raises:
        InputError: a coordinate beyond ±327.67 Å, or not finite; ``where`` opens the message.
    """
    array = np.asarray(positions, dtype=np.float64)
    largest = float(np.abs(array).max(initial=0.0))
    if not largest <= _LARGEST_POSITION:  # catches NaN too
        raise InputError(
            f"{where} reaches {largest:.0f} Å from the centre of P0, at most {_LARGEST_POSITION:.0f} Å fits"
        )
    return np.rint(array / POSITION_STEP).astype(np.int16)


def decode_positions(stored: NDArray[np.int16]) -> NDArray[np.float32]:
    """Positions in Å."""
    return stored.astype(np.float32) * np.float32(POSITION_STEP)


def round_positions(positions: ArrayLike, where: str) -> NDArray[np.float32]:
    """Positions as the store will give them back."""
    return decode_positions(encode_positions(positions, where))


def encode_normals(normals: ArrayLike) -> NDArray[np.int8]:
    """Unit vectors to int8; the direction is kept to half a degree."""
    return np.rint(np.asarray(normals, dtype=np.float64) * _LARGEST_NORMAL).astype(np.int8)


def decode_normals(stored: NDArray[np.int8]) -> NDArray[np.float32]:
    """Unit vectors."""
    vectors = stored.astype(np.float32)
    squared = np.einsum("...i,...i->...", vectors, vectors)
    return vectors / np.sqrt(squared)[..., None]


def encode_occupancy(occupancy: NDArray[np.bool_]) -> NDArray[np.uint16]:
    """Lengths of alternating runs of outside and inside, in C order, the first outside.

    A run beyond 65,535 is written in pieces with an empty run of the other kind between them.
    """
    flat = occupancy.reshape(-1)
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    bounds = np.concatenate([[0], [0] if flat.size and flat[0] else [], changes, [flat.size]]).astype(np.int64)
    lengths = np.diff(bounds)
    pieces = np.maximum(1, -(-lengths // _LONGEST_RUN))
    runs = np.zeros(int((2 * pieces - 1).sum()), dtype=np.uint16)
    ends = np.cumsum(2 * pieces - 1) - 1
    runs[ends] = lengths - (pieces - 1) * _LONGEST_RUN
    for run in np.flatnonzero(pieces > 1):  # few: only the empty slabs beside the molecule are so long
        runs[ends[run] - 2 * (pieces[run] - 1) : ends[run] : 2] = _LONGEST_RUN
    return runs


def decode_occupancy(runs: NDArray[np.uint16], nodes: int) -> NDArray[np.bool_]:
    """Inside test (nodes, nodes, nodes)."""
    kinds = np.zeros(len(runs), dtype=bool)
    kinds[1::2] = True
    return np.repeat(kinds, runs).reshape(nodes, nodes, nodes)
