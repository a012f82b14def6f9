"""TRR (GROMACS): plain big-endian coordinates, nm, single or double precision."""

import struct
from pathlib import Path

import numpy as np

from moedsr.structures.periodic_box import usable
from moedsr.structures.trajectories._base import LARGEST_FRAME, RawFrame, TrajectoryFile, mapped

_NM = 10.0  # Å
_MAGIC = 1993
_VERSION = b"GMX_trn_file"
# magic, length of the version with and without its end, the version, sizes of ir e box vir pres top sym x v f, atoms,
# step, energy count
_HEADER = struct.Struct(">iii12s13i")


class TRRFile(TrajectoryFile):
    """A TRR file; frames that hold velocities or forces alone do not count."""

    name = "a TRR trajectory"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._content = mapped(path)
        self._places: list[tuple[int, int, int]] = []  # box, coordinates, bytes of a number
        self.atoms, self.cut = 0, False
        start = 0
        while start < len(self._content) and not self.cut:
            start = self._frame(start)
        self.frames = len(self._places)

    def read(self, index: int) -> RawFrame:
        box, coordinates, width = self._places[index]
        positions = self._numbers(coordinates, 3 * self.atoms, width).reshape(-1, 3) * _NM
        cell = self._numbers(box, 9, width).reshape(3, 3) * _NM if box else None
        return RawFrame(positions, usable(cell))

    def _numbers(self, start: int, count: int, width: int) -> np.ndarray:
        return self._content[start : start + count * width].view(f">f{width}").astype(np.float64)

    def _frame(self, start: int) -> int:
        """Checks the frame that begins at a byte; returns where the next one does."""
        number = len(self._places) + 1
        content = self._content
        if len(content) - start < _HEADER.size:
            if content[start : start + 4].tobytes() != struct.pack(">i", _MAGIC)[: len(content) - start]:
                raise self.unreadable(f"frame {number} does not begin as one")
            self.cut = True
            return start
        magic, _, length, version, *sizes, atoms, _, _ = _HEADER.unpack_from(content, start)
        if magic != _MAGIC or version != _VERSION or length != len(_VERSION):
            raise self.unreadable(f"frame {number} does not begin as one")
        *_, box, vir, pres, _, _, x, v, f = sizes
        width = box // 9 if box else x // (3 * atoms) if x and atoms > 0 else 4
        rows = 3 * atoms * width
        plain = (
            sizes[0] == sizes[1] == sizes[5] == sizes[6] == 0
            and {box, vir, pres} <= {0, 9 * width}
            and {x, v, f} <= {0, rows}
        )
        if not plain or width not in (4, 8) or not 0 < atoms <= LARGEST_FRAME or self.atoms not in (0, atoms):
            raise self.unreadable(f"the header of frame {number} is damaged")
        body = start + _HEADER.size + 2 * width  # time and lambda
        end = body + sum(sizes)
        if end > len(content):
            self.cut = True
            return start
        self.atoms = atoms
        if x:
            self._places.append((body if box else 0, body + box + vir + pres, width))
        return end
