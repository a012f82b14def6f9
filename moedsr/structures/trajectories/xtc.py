"""XTC (GROMACS): compressed coordinates, nm.

All headers are walked and checked when the file is opened, which finds the frames and a cut at the end.
"""

import struct
from pathlib import Path
from typing import Any

import numpy as np

from moedsr.errors import InputError
from moedsr.structures.periodic_box import usable
from moedsr.structures.trajectories._base import LARGEST_FRAME, RawFrame, TrajectoryFile, mapped
from moedsr.structures.trajectories.xtc_coordinates import FIRST_SIZE, SIZES, unpack

_NM = 10.0  # Å
_MAGIC = 1995
_HEADER = struct.Struct(">iiif9fi")  # magic, atoms, step, time, box, atoms again
_COMPRESSED = struct.Struct(">f3i3iii")  # precision, smallest and largest integers, place among the sizes, bytes
_UNCOMPRESSED_ATOMS = 9  # at most so many are written as plain floats
_MOST_BYTES_PER_ATOM = 14


class XTCFile(TrajectoryFile):
    """An XTC file."""

    name = "an XTC trajectory"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._starts: list[int] = []
        self.atoms, self.cut = 0, False
        self._content = mapped(path)
        start = 0
        while start < len(self._content) and not self.cut:
            start = self._frame(self._content, start)
        self.frames = len(self._starts)

    def read(self, index: int) -> RawFrame:
        start = self._starts[index]
        _, _, _, _, *box, _ = _HEADER.unpack_from(self._content, start)
        positions = self._positions(start + _HEADER.size, index) * _NM
        return RawFrame(positions, usable(np.array(box, dtype=np.float64).reshape(3, 3) * _NM))

    def time(self, index: int) -> float | None:
        return float(_HEADER.unpack_from(self._content, self._starts[index])[3])

    def _positions(self, body: int, index: int) -> np.ndarray:
        """(N, 3) nm."""
        if self.atoms <= _UNCOMPRESSED_ATOMS:
            return self._content[body : body + 12 * self.atoms].view(">f4").astype(np.float64).reshape(-1, 3)
        precision, *bounds, small, size = _COMPRESSED.unpack_from(self._content, body)
        stream = np.asarray(self._content[body + _COMPRESSED.size : body + _COMPRESSED.size + size])
        lowest, highest = np.array(bounds, dtype=np.int64).reshape(2, 3)
        coordinates = unpack(stream, self.atoms, lowest, highest, small)
        if coordinates is None:
            raise InputError(f"{self.unreadable('its coordinates are damaged')} (frame {index + 1})")
        return coordinates / float(precision)

    def _frame(self, content: Any, start: int) -> int:
        """Checks the frame that begins at a byte; returns where the next one does."""
        number = len(self._starts) + 1
        if len(content) - start < _HEADER.size:
            self._end(content, start)
            return start
        magic, atoms, *_, again = _HEADER.unpack_from(content, start)
        if magic != _MAGIC:
            raise self.unreadable(f"frame {number} does not begin as one")
        if not 0 < atoms <= LARGEST_FRAME or again != atoms or (self._starts and atoms != self.atoms):
            raise self.unreadable(f"frame {number} claims {atoms} and {again} atoms")
        self.atoms = atoms
        body = start + _HEADER.size
        if atoms <= _UNCOMPRESSED_ATOMS:
            end = body + 12 * atoms
        else:
            if len(content) - body < _COMPRESSED.size:
                self._end(content, start)
                return start
            end = body + _COMPRESSED.size + self._compressed_bytes(content, body, number)
        if end > len(content):
            self._end(content, start)
            return start
        self._starts.append(start)
        return end

    def _compressed_bytes(self, content: Any, body: int, number: int) -> int:
        precision, *bounds, small, size = _COMPRESSED.unpack_from(content, body)
        lowest, highest = bounds[:3], bounds[3:]
        # 2³¹ steps are more than an integer of the format can span
        spans = [high - low for low, high in zip(lowest, highest, strict=True)]
        sound = (
            0 < precision < 1e9
            and all(0 <= span < 2**31 - 1 for span in spans)
            and FIRST_SIZE <= small < len(SIZES)
            and 0 < size <= _MOST_BYTES_PER_ATOM * self.atoms
        )
        if not sound:
            raise self.unreadable(f"the header of frame {number} is damaged")
        return -(-size // 4) * 4

    def _end(self, content: Any, start: int) -> None:
        if not self._starts and len(content) >= 4 and content[:4].tobytes() != struct.pack(">i", _MAGIC):
            raise self.unreadable("frame 1 does not begin as one")
        self.cut = True
