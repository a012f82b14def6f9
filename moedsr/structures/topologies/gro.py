"""Atoms of a GROMACS GRO file: fixed columns, nm, no chains and no elements."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from moedsr.errors import InputError
from moedsr.structures.periodic_box import usable
from moedsr.structures.topologies._record import AtomRecord, Topology
from moedsr.structures.topologies._text import finite_position

_NM = 10.0  # Å


def read_gro(path: Path, text: str) -> Topology:
    """All atoms of the first frame; a residue number that falls back begins another chain.

    Raises:
        InputError: not such a file, fewer atoms than announced, coordinates that are not finite.
    """
    lines = text.splitlines()
    count = _announced(path, lines)
    body = lines[2 : 2 + count]
    if len(body) < count:
        raise InputError(f"{path}: announces {count} atoms, but has {len(body)}; it was cut short")
    width = _coordinate_width(body[0])
    records, chain, previous = [], 1, 0
    for index, line in enumerate(body):
        number = _number(path, index + 3, line[:5])
        # numbers wrap after 99,999: that is no new chain
        chain += number < previous and not (previous > 90_000 and number < 10)
        previous = number
        columns = [line[20 + k * width : 20 + (k + 1) * width] for k in range(3)]
        x, y, z = finite_position(columns, f"{path}:{index + 3}", f"`{line[20:].strip()}`", "after column 20")
        records.append(
            AtomRecord(
                index=index,
                name=line[10:15].strip(),
                alternate="",
                residue_name=line[5:10].strip().upper(),
                chain=str(chain),
                residue_id=str(number),
                position=(x * _NM, y * _NM, z * _NM),
                occupancy=1.0,
                element_column="",
                hetero=False,
                after_end=False,
            )
        )
    return Topology(records, _box(lines[2 + count] if len(lines) > 2 + count else ""))


def _announced(path: Path, lines: list[str]) -> int:
    try:
        count = int(lines[1])
    except (IndexError, ValueError):
        raise InputError(f"{path}: is no GRO file; its second line must be the number of atoms") from None
    if count < 1:
        raise InputError(f"{path}: holds no atom")
    return count


def _coordinate_width(line: str) -> int:
    """Columns of one coordinate, from the distance of the decimal points."""
    points = [place for place, letter in enumerate(line) if letter == "." and place >= 20]
    return points[1] - points[0] if len(points) > 1 else 8


def _number(path: Path, line: int, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InputError(f"{path}:{line}: residue number `{text.strip()}` is no number in columns 1-5") from None


def _box(line: str) -> NDArray[np.float64] | None:
    """Rows are cell vectors; GRO writes the diagonal first."""
    try:
        values = [float(word) * _NM for word in line.split()]
    except ValueError:
        return None  # numbers that ran into each other; coordinates need no box unless they are broken over it
    if len(values) not in (3, 9):
        return None
    v1x, v2y, v3z, v1y, v1z, v2x, v2z, v3x, v3y = [*values, *([0.0] * 6)][:9]
    return usable(np.array([[v1x, v1y, v1z], [v2x, v2y, v2z], [v3x, v3y, v3z]]))
