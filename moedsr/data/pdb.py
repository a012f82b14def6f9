"""Atom records of a PDB file's first model, as written, with elements made right.

Read by fixed columns rather than through a chemistry package: the files that users bring lack element
columns, chain ids or occupancies, and each problem is to be told with its line.
"""

import gzip
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from moedsr.errors import InputError

_ELEMENTS = {
    "H": "H",
    "D": "H",
    "C": "C",
    "N": "N",
    "O": "O",
    "S": "S",
    "P": "P",
    "SE": "Se",
    "F": "F",
    "CL": "Cl",
}
"""Elements that occur inside amino acids, natural or modified; deuterium counts as hydrogen."""

_SELENIUM_RESIDUES = frozenset({"MSE", "SEC", "CSE"})


@dataclass(frozen=True, slots=True)
class AtomRecord:
    """One ATOM or HETATM line; position in Å."""

    index: int  # among the atoms of the model, from 0: the atom's place in a trajectory
    name: str
    alternate: str
    residue_name: str
    chain: str  # chain id, else segment id; blank chains after a TER are numbered
    residue_id: str  # number and insertion code
    position: tuple[float, float, float]
    occupancy: float
    element_column: str
    hetero: bool
    after_end: bool  # behind its chain's TER, where ligands and waters stand

    @property
    def element(self) -> str | None:
        """Symbol from the element column, or from the atom name where the column is empty or a wrong guess.

        Tools without an element column read CA as calcium and HG as mercury, so a symbol foreign to amino
        acids is not believed. None: not an element of a protein.
        """
        if known := _ELEMENTS.get(self.element_column):
            return known
        letters = self.name.lstrip("0123456789'\"*").upper()
        if letters.startswith("SE") and self.residue_name in _SELENIUM_RESIDUES:
            return "Se"
        return _ELEMENTS.get(letters[:1])


def read_records(path: Path) -> list[AtomRecord]:
    """All atoms of the first model.

    Raises:
        InputError: missing or unreadable file, no atom at all, a coordinate that is no finite number.
    """
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("latin-1")
    except (OSError, EOFError) as error:
        raise InputError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    records = list(_parse(path, text))
    if not records:
        raise InputError(f"{path}: holds no ATOM record; a PDB file is expected")
    return records


def _parse(path: Path, text: str) -> Iterator[AtomRecord]:
    ended: set[str] = set()
    segments = 0
    label, index = "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        kind = line[:6].rstrip()
        if kind in ("ENDMDL", "END") and index:
            return
        if kind == "TER":
            ended.add(label)
            segments += 1
        if kind not in ("ATOM", "HETATM"):
            continue
        hetero = kind == "HETATM"
        label = line[21:22].strip() or line[72:76].strip()
        if not label and segments and not hetero:
            label = str(segments + 1)
        yield AtomRecord(
            index=index,
            name=line[12:16].strip(),
            alternate=line[16:17].strip(),
            residue_name=line[17:21].strip().upper(),
            chain=label,
            residue_id=line[22:27].strip(),
            position=_position(path, number, line),
            occupancy=_occupancy(line),
            element_column=line[76:78].strip().upper(),
            hetero=hetero,
            after_end=label in ended,
        )
        index += 1


def _position(path: Path, number: int, line: str) -> tuple[float, float, float]:
    columns = (line[30:38], line[38:46], line[46:54])
    try:
        x, y, z = (float(column) for column in columns)
    except ValueError:
        raise InputError(
            f"{path}:{number}: coordinates `{line[30:54].strip()}` are not three numbers in columns 31-54"
        ) from None
    if not all(math.isfinite(value) for value in (x, y, z)):
        raise InputError(f"{path}:{number}: coordinates `{line[30:54].strip()}` must be finite")
    return x, y, z


def _occupancy(line: str) -> float:
    try:
        return float(line[54:60])
    except ValueError:
        return 1.0
