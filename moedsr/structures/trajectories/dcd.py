"""DCD (CHARMM, NAMD, X-PLOR): plain coordinates in Å, in the byte order of the machine that wrote it.

Frames are counted from the file's length: headers are often written before a simulation and not put right after it.
Where atoms are fixed, all stand in the first frame and only the free ones in those after it.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from moedsr.structures.periodic_box import Box, Positions, cell_vectors, usable
from moedsr.structures.trajectories._base import LARGEST_FRAME, RawFrame, TrajectoryFile, mapped

_HEADER = 84  # bytes of the first record: `CORD` and 20 integers
_FIXED, _HAS_CELL, _HAS_FOURTH, _VERSION = 8, 10, 11, 19  # places among the 20
_MOST_TITLES = 1000


class DCDFile(TrajectoryFile):
    """A DCD file."""

    name = "a DCD trajectory"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._content = mapped(path)
        self._order = self._byte_order()
        control = self._integers(8, 20)
        charmm = control[_VERSION] != 0
        self._cell, self._fourth = charmm and control[_HAS_CELL] != 0, charmm and control[_HAS_FOURTH] == 1
        self._start, self.atoms = self._after_titles()
        self._free = self._free_atoms(control[_FIXED]) if control[_FIXED] else None
        self._first, self._size = self._bytes(self.atoms), self._bytes(self._moving)
        rest = len(self._content) - self._start - self._first
        self.frames, rest = (1 + rest // self._size, rest % self._size) if rest >= 0 else (0, rest + self._first)
        self.cut = rest > 0

    @property
    def _moving(self) -> int:
        return self.atoms if self._free is None else len(self._free)

    def read(self, index: int) -> RawFrame:
        if index == 0 or self._free is None:
            place = self._start + index * self._first
            return RawFrame(self._coordinates(place, self.atoms, index), usable(self._box(place)))
        place = self._start + self._first + (index - 1) * self._size
        positions = self._coordinates(self._start, self.atoms, 0)
        positions[self._free] = self._coordinates(place, len(self._free), index)
        return RawFrame(positions, usable(self._box(place)))

    def _bytes(self, atoms: int) -> int:
        """Of a frame that has so many atoms."""
        return 56 * self._cell + (3 + self._fourth) * (4 * atoms + 8)

    def _coordinates(self, start: int, atoms: int, index: int) -> Positions:
        """(atoms, 3) of the frame at a byte: three records."""
        axes, record = [], 4 * atoms + 8
        for axis in range(3):
            place = start + 56 * self._cell + axis * record
            if not self._integers(place, 1)[0] == self._integers(place + record - 4, 1)[0] == 4 * atoms:
                raise self.unreadable(f"frame {index + 1} has no coordinates of {atoms} atoms")
            values = self._content[place + 4 : place + record - 4].view(f"{self._order}f4")
            axes.append(values.astype(np.float64))
        return np.stack(axes, axis=1)

    def _free_atoms(self, fixed: int) -> NDArray[np.int64]:
        """(moving,) from 0, of a record before the frames, which begin behind it then."""
        count = self.atoms - fixed
        if count <= 0 or fixed < 0:
            raise self.unreadable(f"{fixed} of its {self.atoms} atoms are fixed")
        before, *numbers, after = self._integers(self._start, count + 2)
        free = np.array(numbers, dtype=np.int64) - 1
        if not before == after == 4 * count or free.min() < 0 or free.max() >= self.atoms:
            raise self.unreadable("its list of atoms that are not fixed is damaged")
        self._start += 4 * count + 8
        return free

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

    def _box(self, start: int) -> Box | None:
        """From a, γ, b, β, α, c: angles in degrees, or as cosines where all lie within [-1, 1]."""
        if not self._cell:
            return None
        part = self._content[start + 4 : start + 52].view(f"{self._order}f8").astype(np.float64)
        a, gamma, b, beta, alpha, c = part
        angles = np.array([alpha, beta, gamma])
        if (np.abs(angles) <= 1).all():
            angles = np.degrees(np.arccos(angles))
        return cell_vectors([a, b, c], angles)
