"""Atoms of an mmCIF file's first model, parsed by Biopython."""

from io import StringIO
from pathlib import Path
from typing import Any

from Bio.PDB.MMCIF2Dict import MMCIF2Dict

from moedsr.errors import InputError
from moedsr.structures.topologies._record import AtomRecord, Topology
from moedsr.structures.topologies._text import finite_position

_TABLE = "_atom_site."
_COLUMNS = ("group_PDB", "label_atom_id", "label_comp_id", "Cartn_x", "Cartn_y", "Cartn_z")
_UNKNOWN = (".", "?")


def read_mmcif(path: Path, text: str) -> Topology:
    """All atoms of the first model, chains and residues as their authors named them.

    Raises:
        InputError: not such a file, no atoms, columns missing or of unequal length, coordinates not finite.
    """
    try:
        content: dict[str, Any] = MMCIF2Dict(StringIO(text))
    except Exception as error:  # the parser raises whatever a damaged file leads it to
        raise InputError(
            f"{path}: cannot be read as mmCIF: {str(error).splitlines()[0] if str(error) else 'damaged'}"
        ) from error
    columns = {
        key.removeprefix("_atom_site."): value for key, value in content.items() if key.startswith("_atom_site.")
    }
    if missing := [name for name in _COLUMNS if name not in columns]:
        raise InputError(f"{path}: holds no atoms; an mmCIF file with _atom_site.{missing[0]} is expected")
    if len({len(value) for value in columns.values()}) > 1:
        raise InputError(f"{path}: the columns of _atom_site are of unequal length; it was cut short or altered")
    first = columns.get("pdbx_PDB_model_num", [""])[0]
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    kept = [row for row in rows if row.get("pdbx_PDB_model_num", "") == first]
    if not kept:
        raise InputError(f"{path}: holds no atoms")
    return Topology([_atom(path, index, row) for index, row in enumerate(kept)])


def _atom(path: Path, index: int, row: dict[str, str]) -> AtomRecord:
    def value(*names: str) -> str:
        return next((row[name] for name in names if row.get(name, "?") not in _UNKNOWN), "")

    columns = [row[f"Cartn_{axis}"] for axis in "xyz"]
    hetero = row["group_PDB"] == "HETATM"
    return AtomRecord(
        index=index,
        name=value("auth_atom_id", "label_atom_id"),
        alternate=value("label_alt_id"),
        residue_name=value("auth_comp_id", "label_comp_id").upper(),
        chain=value("auth_asym_id", "label_asym_id"),
        residue_id=value("auth_seq_id", "label_seq_id") + value("pdbx_PDB_ins_code"),
        position=finite_position(columns, f"{path}: atom {index + 1}", f"`{' '.join(columns)}`", "in Cartn_x, y, z"),
        occupancy=_occupancy(row.get("occupancy", "1")),
        element_column=value("type_symbol").upper(),
        hetero=hetero,
        # a polymer's atoms have a number in its sequence, what stands behind it has none
        after_end=hetero and row.get("label_seq_id", "1") in _UNKNOWN,
    )


def _occupancy(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 1.0
