"""The protein part of one structure: a single chain of amino acids, Cα in each."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from moedsr.data.pdb import AtomRecord, read_records
from moedsr.data.residues import is_amino_acid, one_letter, residue_type
from moedsr.errors import InputError

logger = logging.getLogger(__name__)

_BACKBONE = frozenset({"N", "CA", "C"})
_WIDEST_RESIDUE = 20.0  # Å from the Cα; beyond it, a residue is cut in two by a periodic box


@dataclass(frozen=True, kw_only=True)
class Structure:
    """Atoms and residues of one chain. N atoms, R residues."""

    path: Path
    chain: str
    elements: tuple[str, ...]  # (N,) symbols
    atom_names: tuple[str, ...]  # (N,)
    positions: NDArray[np.float64]  # (N, 3) Å, as in the file
    residue_of_atom: NDArray[np.int64]  # (N,) ascending
    residue_names: tuple[str, ...]  # (R,) as in the file
    ca_index: NDArray[np.int64]  # (R,) atom of each residue's Cα
    file_index: NDArray[np.int64]  # (N,) place of each atom in the file, and so in a trajectory
    file_atoms: int  # atoms in the file's first model, solvent included

    @property
    def sequence(self) -> str:
        """One letter a residue, X for the unknown."""
        return "".join(one_letter(name) for name in self.residue_names)

    @property
    def residue_types(self) -> NDArray[np.int64]:
        """(R,) indices into RESIDUE_TYPES."""
        return np.array([residue_type(name) for name in self.residue_names], dtype=np.int64)

    def without_hydrogens(self) -> Self:
        """The heavy atoms alone."""
        keep = np.array([element != "H" for element in self.elements])
        kept = np.flatnonzero(keep)
        return replace(
            self,
            elements=tuple(self.elements[i] for i in kept),
            atom_names=tuple(self.atom_names[i] for i in kept),
            positions=self.positions[kept],
            residue_of_atom=self.residue_of_atom[kept],
            ca_index=np.searchsorted(kept, self.ca_index),
            file_index=self.file_index[kept],
        )


def load_structure(path: Path, chain: str | None = None) -> Structure:
    """The protein chain of a PDB file (``.pdb`` or ``.pdb.gz``): first model, one location an atom.

    Solvent, ions, ligands and caps are left out; so are residues without a Cα, with a warning.

    Args:
        path: the file.
        chain: chain id; needed when the file holds several protein chains.

    Raises:
        InputError: unreadable file, no protein atoms, no Cα, several chains without a choice, unknown chain,
            an atom of no known element, coordinates that are not finite, a chain in pieces.
    """
    path = Path(path)
    records = read_records(path)
    groups = [list(group) for _, group in groupby(records, key=lambda r: (r.chain, r.residue_id))]
    residues = [residue for residue in groups if _is_protein(residue)]
    if not residues:
        raise InputError(f"{path}: holds {len(records)} atoms but no protein atoms")
    picked = _pick_chain(path, residues, chain)
    complete = [residue for residue in picked if any(record.name == "CA" for record in residue)]
    if not complete:
        raise InputError(f"{path}: none of its {len(picked)} residues has a C-alpha atom (`CA`)")
    if len(complete) < len(picked):
        logger.warning("%s: %d residues without a C-alpha are left out", path, len(picked) - len(complete))
    return _assemble(path, [_one_location(residue) for residue in complete], len(records))


def _is_protein(residue: Sequence[AtomRecord]) -> bool:
    first = residue[0]
    if first.hetero and first.after_end:
        return False  # a free amino acid among the ligands is no part of the chain
    if is_amino_acid(first.residue_name) and not first.hetero:
        return True
    return {record.name for record in residue} >= _BACKBONE


def _pick_chain(path: Path, residues: list[list[AtomRecord]], chain: str | None) -> list[list[AtomRecord]]:
    chains = list(dict.fromkeys(residue[0].chain for residue in residues))
    listed = ", ".join(name or "(blank)" for name in chains)
    if chain is None and len(chains) > 1:
        raise InputError(f"{path}: holds {len(chains)} protein chains ({listed}); choose one of them")
    if chain is not None and chain not in chains:
        raise InputError(f"{path}: has no protein chain `{chain}`; chains: {listed}")
    wanted = chains[0] if chain is None else chain
    return [residue for residue in residues if residue[0].chain == wanted]


def _one_location(residue: list[AtomRecord]) -> list[AtomRecord]:
    """One atom a name: the alternate location that is occupied most, the same for the whole residue."""
    weights: dict[str, float] = {}
    for record in residue:
        if record.alternate:
            weights[record.alternate] = max(record.occupancy, weights.get(record.alternate, 0.0))
    if not weights:
        return residue
    best = max(weights, key=lambda name: weights[name])  # the first of equals
    named = next(record.residue_name for record in residue if record.alternate == best)
    chosen: dict[str, AtomRecord] = {}
    for record in sorted(residue, key=lambda r: (r.alternate not in ("", best), r.index)):
        if record.residue_name == named:
            chosen.setdefault(record.name, record)
    return sorted(chosen.values(), key=lambda r: r.index)


def _assemble(path: Path, residues: list[list[AtomRecord]], file_atoms: int) -> Structure:
    atoms = [record for residue in residues for record in residue]
    elements = []
    for record in atoms:
        if (element := record.element) is None:
            raise InputError(
                f"{path}: atom {record.index + 1} `{record.name}` of residue {record.residue_name} "
                f"{record.residue_id} is of no element of a protein; give its element column"
            )
        elements.append(element)
    starts = np.cumsum([0, *(len(residue) for residue in residues)])
    ca = [next(i for i, record in enumerate(residue) if record.name == "CA") for residue in residues]
    structure = Structure(
        path=path,
        chain=atoms[0].chain,
        elements=tuple(elements),
        atom_names=tuple(record.name for record in atoms),
        positions=np.array([record.position for record in atoms], dtype=np.float64),
        residue_of_atom=np.repeat(np.arange(len(residues)), np.diff(starts)),
        residue_names=tuple(residue[0].residue_name for residue in residues),
        ca_index=starts[:-1] + np.array(ca, dtype=np.int64),
        file_index=np.array([record.index for record in atoms], dtype=np.int64),
        file_atoms=file_atoms,
    )
    _check_whole(structure)
    return structure


def _check_whole(structure: Structure) -> None:
    anchors = structure.positions[structure.ca_index][structure.residue_of_atom]
    reach = np.linalg.norm(structure.positions - anchors, axis=1)
    worst = int(reach.argmax())
    if reach[worst] > _WIDEST_RESIDUE:
        residue = structure.residue_of_atom[worst]
        raise InputError(
            f"{structure.path}: atom `{structure.atom_names[worst]}` of residue {residue + 1} "
            f"{structure.residue_names[residue]} lies {reach[worst]:.0f} Å from its C-alpha, at most "
            f"{_WIDEST_RESIDUE:.0f} Å is possible; make the molecule whole before writing it"
        )
