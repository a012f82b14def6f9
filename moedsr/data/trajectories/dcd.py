"""DCD (CHARMM, NAMD, X-PLOR): plain coordinates in Å, in the byte order of the machine that wrote it.

Frames are counted from the file's length: headers are often written before a simulation and not put right after it.
"""

from pathlib import Path

import numpy as np

from moedsr.data.periodic_box import Box, cell_vectors, usable
from moedsr.data.trajectories._base import LARGEST_FRAME, RawFrame, TrajectoryFile, mapped

_HEADER = 84  # bytes of the first record: `CORD` and 20 integers
_FIXED, _HAS_CELL, _HAS_FOURTH, _VERSION = 8, 10, 11, 19  # places among the 20
_MOST_TITLES = 1000


class DCDFile(TrajectoryFile):
    """A DCD file without fixed atoms."""

    name = "a DCD trajectory"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._content = mapped(path)
        self._order = self._byte_order()
        control = self._integers(8, 20)
        if control[_FIXED]:
            raise self.unreadable(f"{control[_FIXED]} of its atoms are fixed, and such files are not read")
        charmm = control[_VERSION] != 0
        self._cell, fourth = charmm and control[_HAS_CELL] != 0, charmm and control[_HAS_FOURTH] == 1
        self._start, self.atoms = self._after_titles()
        self._record = 4 * self.atoms + 8
        self._size = 56 * self._cell + (3 + fourth) * self._record
        self.frames, rest = divmod(len(self._content) - self._start, self._size)
        self.cut = rest > 0

    def read(self, index: int) -> RawFrame:
        start = self._start + index * self._size
        box = self._box(start) if self._cell else None
        start += 56 * self._cell
        axes = []
        for axis in range(3):
            place = start + axis * self._record
            if not self._integers(place, 1)[0] == self._integers(place + self._record - 4, 1)[0] == 4 * self.atoms:
                raise self.unreadable(f"frame {index + 1} has no coordinates of {self.atoms} atoms")
            values = self._content[place + 4 : place + self._record - 4].view(f"{self._order}f4")
            axes.append(values.astype(np.float64))
        return RawFrame(np.stack(axes, axis=1), usable(box))

    def _byte_order(self) -> str:
        head = self._content[:8].tobytes()
        for order, name in (("<", "little"), (">", "big")):
            if head == _HEADER.to_bytes(4, name) + b"CORD" and len(self._content) >= _HEADER + 8:  # type: ignore[arg-type]
                return order
        raise self.unreadable("it does not begin with a header record of 84 bytes named CORD")

    def _after_titles(self) -> tuple[int, int]:
        """Where the frames begin, and the number of atoms."""
        place = _HEADER + 8
        length, titles = self._integers(place, 2)
        if length != 4 + 80 * titles or not 0 <= titles <= _MOST_TITLES:
            raise self.unreadable("its titles are damaged")
        place += length + 8
        before, atoms, after = self._integers(place, 3)
        if not before == after == 4 or not 0 < atoms <= LARGEST_FRAME:
            raise self.unreadable("its number of atoms is damaged")
        return place + 12, atoms

    def _integers(self, start: int, count: int) -> list[int]:
        part = self._content[start : start + 4 * count]
        if len(part) < 4 * count:
            raise self.unreadable("it ends within its header")
        return [int(value) for value in part.view(f"{self._order}i4")]

    def _box(self, start: int) -> Box:
        """From a, γ, b, β, α, c: angles in degrees, or as cosines where all lie within [-1, 1]."""
        part = self._content[start + 4 : start + 52].view(f"{self._order}f8").astype(np.float64)
        a, gamma, b, beta, alpha, c = part
        angles = np.array([alpha, beta, gamma])
        if (np.abs(angles) <= 1).all():
            angles = np.degrees(np.arccos(angles))
        return cell_vectors([a, b, c], angles)
