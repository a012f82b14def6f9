"""XTC (GROMACS): compressed coordinates, nm. The only file that knows mdtraj.

The library's decoder trusts what it reads: a damaged header leads it out of its memory. All headers are therefore
walked and checked here first, which also finds the frames and a cut at the end.
"""

import struct
from pathlib import Path
from typing import Any

import numpy as np
from mdtraj.formats import XTCTrajectoryFile

from moedsr.data.periodic_box import usable
from moedsr.data.trajectories._base import LARGEST_FRAME, RawFrame, TrajectoryFile, mapped
from moedsr.errors import InputError

_NM = 10.0  # Å
_MAGIC = 1995
_HEADER = struct.Struct(">iiif9fi")  # magic, atoms, step, time, box, atoms again
_COMPRESSED = struct.Struct(">f3i3iii")  # precision, smallest and largest integers, small index, bytes
_UNCOMPRESSED_ATOMS = 9  # at most so many are written as plain floats
_SMALL_INDEX = range(9, 73)  # rows of the format's table of sizes
_MOST_BYTES_PER_ATOM = 14


class XTCFile(TrajectoryFile):
    """An XTC file."""

    name = "an XTC trajectory"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._starts: list[int] = []
        self.atoms, self.cut = 0, False
        content = mapped(path)
        start = 0
        while start < len(content) and not self.cut:
            start = self._frame(content, start)
        self.frames = len(self._starts)
        del content
        self._file = XTCTrajectoryFile(str(path)) if self.frames else None

    def read(self, index: int) -> RawFrame:
        assert self._file is not None
        try:
            self._file.seek(index)
            xyz, _, _, box = self._file.read(n_frames=1)
        except (OSError, RuntimeError, ValueError) as error:
            raise InputError(f"{self.unreadable(error)} (frame {index + 1})") from error
        if xyz.shape != (1, self.atoms, 3):
            raise InputError(f"{self.unreadable('its coordinates are damaged')} (frame {index + 1})")
        cell = None if box is None else box[0].astype(np.float64) * _NM
        return RawFrame(xyz[0].astype(np.float64) * _NM, usable(cell))

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

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
            and small in _SMALL_INDEX
            and 0 < size <= _MOST_BYTES_PER_ATOM * self.atoms
        )
        if not sound:
            raise self.unreadable(f"the header of frame {number} is damaged")
        return -(-size // 4) * 4

    def _end(self, content: Any, start: int) -> None:
        if not self._starts and len(content) >= 4 and content[:4].tobytes() != struct.pack(">i", _MAGIC):
            raise self.unreadable("frame 1 does not begin as one")
        self.cut = True
