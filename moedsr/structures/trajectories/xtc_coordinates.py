"""Coordinates of XTC, unpacked: a stream of bits in which an atom costs less the nearer it lies to the one before it.

Decoded here rather than by a library, because those decoders follow a damaged stream out of their memory and take the
process with them. Every read and every write below is held within its array.
"""

import numpy as np
from numpy.typing import NDArray

from moedsr.geometry.compiled import compiled

# The sizes a coordinate of a near atom may be packed into, each about ∛2 times the one before.
SIZES = np.array(
    [0] * 9
    + [8, 10, 12, 16, 20, 25, 32, 40, 50, 64, 80, 101, 128, 161, 203, 256, 322, 406, 512, 645, 812, 1024, 1290, 1625]
    + [2048, 2580, 3250, 4096, 5060, 6501, 8192, 10321, 13003, 16384, 20642, 26007, 32768, 41285, 52015, 65536, 82570]
    + [104031, 131072, 165140, 208063, 262144, 330280, 416127, 524287, 660561, 832255, 1048576, 1321122, 1664510]
    + [2097152, 2642245, 3329021, 4194304, 5284491, 6658042, 8388607, 10568983, 13316085, 16777216],
    dtype=np.int64,
)
FIRST_SIZE = 9
_LARGEST_TOGETHER = 0xFFFFFF  # spans beyond it are packed one by one


def unpack(
    stream: NDArray[np.uint8], atoms: int, lowest: NDArray[np.int64], highest: NDArray[np.int64], small: int
) -> NDArray[np.int64] | None:
    """Coordinates (atoms, 3) in units of the frame's precision; None for a damaged stream.

    Args:
        stream: bytes.
        atoms: how many it must hold.
        lowest: (3,) of all coordinates.
        highest: (3,) of all coordinates, none below `lowest`.
        small: place in SIZES at which the stream begins, from FIRST_SIZE on.
    """
    spans = highest - lowest + 1
    if spans.max() > _LARGEST_TOGETHER:
        bits, together = np.array([int(span).bit_length() for span in spans]), 0
    else:
        bits, together = np.zeros(3, dtype=np.int64), (int(spans[0]) * int(spans[1]) * int(spans[2])).bit_length()
    coordinates = np.empty((atoms, 3), dtype=np.int64)
    padded = np.zeros(len(stream) + 16, dtype=np.uint8)  # a last read may look beyond the end, and is then refused
    padded[: len(stream)] = stream
    sound = _decode(padded, 8 * len(stream), coordinates, lowest, spans, bits.astype(np.int64), together, small, SIZES)
    return coordinates if sound else None


@compiled
def _number(stream: NDArray[np.uint8], place: int, bits: int) -> int:
    """Unsigned integer of up to 32 bits, most significant first."""
    value = 0
    for bit in range(place, place + bits):
        value = (value << 1) | ((stream[bit >> 3] >> (7 - (bit & 7))) & 1)
    return value


@compiled
def _three(stream: NDArray[np.uint8], place: int, bits: int, sizes: NDArray[np.int64], out: NDArray[np.int64]) -> None:
    """Three integers below `sizes`, packed as one of `bits` (up to 72) whose bytes stand least significant first."""
    parts = np.zeros(12, dtype=np.int64)
    count = 0
    while bits > 8:
        parts[count] = _number(stream, place, 8)
        place += 8
        bits -= 8
        count += 1
    if bits > 0:
        parts[count] = _number(stream, place, bits)
        count += 1
    for axis in (2, 1):
        rest = 0
        for k in range(count - 1, -1, -1):
            rest = (rest << 8) | parts[k]
            parts[k] = rest // sizes[axis]
            rest -= parts[k] * sizes[axis]
        out[axis] = rest
    out[0] = parts[0] | (parts[1] << 8) | (parts[2] << 16) | (parts[3] << 24)


@compiled
def _decode(
    stream: NDArray[np.uint8],
    end: int,
    coordinates: NDArray[np.int64],
    lowest: NDArray[np.int64],
    spans: NDArray[np.int64],
    bits: NDArray[np.int64],
    together: int,
    small: int,
    table: NDArray[np.int64],
) -> bool:
    """Fills `coordinates`; False where the stream ends early or asks for what the format does not have."""
    atoms, done, place, run = len(coordinates), 0, 0, 0
    here, before = np.zeros(3, dtype=np.int64), np.zeros(3, dtype=np.int64)
    near, sizes = np.zeros(3, dtype=np.int64), np.zeros(3, dtype=np.int64)
    sizes[:] = table[small]
    half = table[small] // 2
    while done < atoms:
        width = together if together else bits[0] + bits[1] + bits[2]
        if place + width + 6 > end + 8:
            return False
        if together:
            _three(stream, place, together, spans, here)
            place += together
        else:
            for axis in range(3):
                here[axis] = _number(stream, place, bits[axis])
                place += bits[axis]
        here += lowest
        change = 0
        place += 1
        if _number(stream, place - 1, 1):
            run = _number(stream, place, 5)
            place += 5
            change = run % 3 - 1
            run -= run % 3
        if done + 1 + run // 3 > atoms or place + (run // 3) * small > end:
            return False
        if run == 0:
            coordinates[done] = here
        before[:] = here
        for k in range(run // 3):
            _three(stream, place, small, sizes, near)
            place += small
            near += before - half
            before[:] = near
            if k == 0:  # the first two stand in turned order, which packs water well
                coordinates[done] = near
                coordinates[done + 1] = here
            else:
                coordinates[done + k + 1] = near
        done += 1 + run // 3
        small += change
        if small < 9 or small >= len(table):
            return False
        sizes[:] = table[small]
        half = table[small] // 2
    return place <= end
