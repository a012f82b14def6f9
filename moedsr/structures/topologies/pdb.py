"""Atom records of a PDB file's first model, as written.

Read by fixed columns rather than through a chemistry package: the files that users bring lack element
columns, chain ids or occupancies, and each problem is to be told with its line.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from moedsr.errors import InputError
from moedsr.structures.periodic_box import Box, cell_vectors, usable
from moedsr.structures.residues import is_amino_acid
from moedsr.structures.topologies._record import AtomRecord, Topology
from moedsr.structures.topologies._text import finite_position


def read_pdb(path: Path, text: str) -> Topology:
    """All atoms of the first model, and the cell.

    Raises:
        InputError: no atom at all, a coordinate that is no finite number.
    """
    records = list(_parse(path, text))
    if not records:
        raise InputError(f"{path}: holds no ATOM record; a PDB file is expected")
    return Topology(records, _cell(text))


def _cell(text: str) -> Box | None:
    """The CRYST1 record's cell; None without one, with a dummy, or of a crystal.

    A crystal's molecule is whole as it stands, however far apart a missing loop leaves its ends.
    """
    line = next((line for line in text[:100_000].splitlines() if line.startswith("CRYST1")), "")
    if line[55:66].replace(" ", "") not in ("", "P1"):  # the space group, which a simulation's box has not
        return None
    try:
        values = [float(line[start:end]) for start, end in ((6, 15), (15, 24), (24, 33), (33, 40), (40, 47), (47, 54))]
    except ValueError:
        return None
    return usable(cell_vectors(values[:3], values[3:])) if min(values) > 1 else None


def _parse(path: Path, text: str) -> Iterator[AtomRecord]:
    ended: set[str] = set()
    segments, previous = 0, 0
    seen: set[tuple[int, str]] = set()  # atoms of the nameless chain
    numbers: set[int] = set()  # its residues
    label, index = "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        kind = line[:6].rstrip()
        if kind in ("ENDMDL", "END") and index:
            return
        if kind == "TER":
            ended.add(label)
            segments, previous, seen, numbers = segments + 1, 0, set(), set()
        if kind not in ("ATOM", "HETATM"):
            continue
        hetero = kind == "HETATM"
        residue, label = _residue_and_chain(line)
        if not label and not hetero:
            # nameless chains are told apart by TER, or by numbers that fall back (but wrap after 9999)
            residue_number = int(digits[1]) if (digits := re.match(r"\s*(-?\d+)", line[22:26])) else 0
            atom = (residue_number, line[12:17])
            # a number that falls back to add atoms to a residue, as hydrogens after the rest, begins no chain
            if residue_number < previous < 9000 and (atom in seen or residue_number not in numbers):
                segments, seen, numbers = segments + 1, set(), set()
            previous = residue_number
            seen.add(atom)
            numbers.add(residue_number)
            label = str(segments + 1) if segments else ""
        yield AtomRecord(
            index=index,
            name=line[12:16].strip(),
            alternate=line[16:17].strip(),
            residue_name=residue,
            chain=label,
            residue_id=line[22:27].strip(),
            position=_position(path, number, line),
            occupancy=_occupancy(line),
            element_column=line[76:78].strip().upper(),
            hetero=hetero,
            after_end=label in ended,
        )
        index += 1


def _residue_and_chain(line: str) -> tuple[str, str]:
    """The name may be of four letters (CHARMM), or the chain of two (large structures): both use column 21."""
    residue = line[17:21].strip().upper()
    if len(residue) == 4 and is_amino_acid(residue[:3]) and not is_amino_acid(residue):
        return residue[:3], line[20:22].strip()
    return residue, line[21:22].strip() or line[72:76].strip()


def _position(path: Path, number: int, line: str) -> tuple[float, float, float]:
    columns = (line[30:38], line[38:46], line[46:54])
    return finite_position(columns, f"{path}:{number}", f"`{line[30:54].strip()}`", "in columns 31-54")


def _occupancy(line: str) -> float:
    try:
        return float(line[54:60])
    except ValueError:
        return 1.0
