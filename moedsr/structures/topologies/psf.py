"""Atoms of a CHARMM or NAMD PSF file: names and segments, no positions."""

from pathlib import Path

from moedsr.errors import InputError
from moedsr.structures.topologies._record import AtomRecord, Topology

_NOWHERE = (float("nan"),) * 3


def read_psf(path: Path, text: str) -> Topology:
    """All atoms; the segments are the chains. P0 is the first frame of the first trajectory.

    Raises:
        InputError: not such a file, fewer atoms than announced, a line without segment, residue and name.
    """
    lines = text.splitlines()
    header = next((place for place, line in enumerate(lines) if line.rstrip().endswith("!NATOM")), None)
    if not lines or not lines[0].startswith("PSF") or header is None:
        raise InputError(f"{path}: is no PSF file; it must begin with `PSF` and have an !NATOM section")
    count = _count(path, header, lines[header])
    body = lines[header + 1 : header + 1 + count]
    if len(body) < count or any(not line.strip() for line in body):
        raise InputError(f"{path}: announces {count} atoms, but has fewer; it was cut short")
    return Topology([_atom(path, header + 2 + i, i, line) for i, line in enumerate(body)], has_positions=False)


def _count(path: Path, place: int, line: str) -> int:
    try:
        count = int(line.split()[0])
    except (ValueError, IndexError):
        raise InputError(f"{path}:{place + 1}: `{line.strip()}` must begin with the number of atoms") from None
    if count < 1:
        raise InputError(f"{path}: holds no atom")
    return count


def _atom(path: Path, number: int, index: int, line: str) -> AtomRecord:
    words = line.split()
    if len(words) < 7:
        raise InputError(f"{path}:{number}: `{line.strip()}` has no segment, residue, name, type, charge and mass")
    # without a segment the residue's name, which begins with a letter, comes one word earlier
    nameless = words[2][0].isalpha()
    segment, residue_id, residue, name = ["", *words[1:4]] if nameless else words[1:5]
    return AtomRecord(
        index=index,
        name=name,
        alternate="",
        residue_name=residue.upper(),
        chain=segment,
        residue_id=residue_id,
        position=_NOWHERE,
        occupancy=1.0,
        element_column="",
        hetero=False,
        after_end=False,
    )
