"""The protein part of one structure: a chain of amino acids, Cα in each; more than that on request."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from moedsr.config_file import did_you_mean
from moedsr.errors import InputError
from moedsr.structures.periodic_box import Box, Positions, make_whole
from moedsr.structures.residue_groups import is_protein, residue_groups
from moedsr.structures.residues import is_nucleotide, one_letter, residue_type
from moedsr.structures.topologies import AtomRecord, Topology, read_topology

logger = logging.getLogger(__name__)

_LISTED = 12  # chains named in a message
_WIDEST_RESIDUE = 20.0  # Å from the Cα; beyond it, a residue is cut in two by a periodic box


@dataclass(frozen=True, kw_only=True)
class Structure:
    """Atoms and residues of the chosen chain or chains, and of the chosen ligands. N atoms, R residues."""

    path: Path
    chain: str  # several as `A,B`
    elements: tuple[str, ...]  # (N,) symbols
    atom_names: tuple[str, ...]  # (N,)
    positions: NDArray[np.float64]  # (N, 3) Å, as in the file
    residue_of_atom: NDArray[np.int64]  # (N,) ascending; a ligand's atom belongs to the residue nearest in P0
    chain_of_residue: NDArray[np.int64]  # (R,) from 0, in the order of `chain`
    residue_names: tuple[str, ...]  # (R,) as in the file
    ca_index: NDArray[np.int64]  # (R,) atom of each residue's Cα
    file_index: NDArray[np.int64]  # (N,) place of each atom in the file, and so in a trajectory
    file_atoms: int  # atoms in the file's first model, solvent included

    @property
    def sequence(self) -> str:
        """One letter a residue, X for the unknown."""
        return "".join(one_letter(name) for name in self.residue_names)

    @property
    def hydrogens(self) -> int:
        """Number of hydrogen atoms; 0 says that the file has none."""
        return self.elements.count("H")

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


def load_structure(
    path: Path,
    chains: str | Sequence[str] | None = None,
    *,
    ligands: Iterable[str] = (),
    positions: Positions | None = None,
    box: Box | None = None,
) -> Structure:
    """The protein of a structure file: first model, one location an atom, whole.

    Solvent, ions, ligands and caps are left out; so are residues without a Cα, with a warning.

    Args:
        path: a file of :data:`moedsr.structures.topologies.TOPOLOGIES`.
        chains: chain ids, `A,B` or a sequence; needed when the file holds several protein chains.
        ligands: residue names of what else is taken: ligands, cofactors, ions.
        positions: (file's atoms, 3) Å instead of the file's own; needed where the format has none (PSF).
        box: (3, 3) Å that `positions` may be broken over.

    Raises:
        InputError: unreadable file, no protein atoms, no Cα, several chains without a choice, an unknown chain or
            ligand, an atom of no known element, coordinates that are not finite, a chain in pieces.
    """
    path = Path(path)
    topology = read_topology(path)
    if positions is None and not topology.has_positions:
        raise InputError(f"{path}: names atoms but has no coordinates; a PDB, mmCIF or GRO file is needed here")
    groups = residue_groups(path, topology)
    residues = [residue for residue in groups if is_protein(residue)]
    if not residues:
        raise InputError(f"{path}: {_without_protein(groups, len(topology.records))}")
    picked = _pick_chains(path, residues, [chains] if isinstance(chains, str) else chains)
    located = [_one_location(residue) for residue in picked]
    complete = [residue for residue in located if any(record.name == "CA" for record in residue)]
    if not complete:
        raise InputError(f"{path}: none of its {len(picked)} residues has a C-alpha atom (`CA`)")
    if len(complete) < len(picked):
        logger.warning("%s: %d residues without a C-alpha are left out", path, len(picked) - len(complete))
    if sum(len(residue) == 1 for residue in complete) > len(complete) / 2:
        raise InputError(f"{path}: is a trace of C-alphas alone; a surface needs all of the heavy atoms")
    bound = _pick_ligands(path, groups, [name.upper() for name in ligands])
    ligands_located = [_one_location(ligand) for ligand in bound]
    own_box = topology.box if positions is None else box
    return _assemble(path, topology, complete, ligands_located, positions=positions, box=own_box)


def _without_protein(groups: list[list[AtomRecord]], atoms: int) -> str:
    nucleotides = [group[0].residue_name for group in groups if is_nucleotide(group[0].residue_name)]
    if nucleotides:
        return f"holds {len(nucleotides)} nucleotides ({nucleotides[0]} …) but no protein; only proteins are modelled"
    return f"holds {atoms} atoms but no protein atoms"


def _pick_chains(path: Path, residues: list[list[AtomRecord]], wanted: Sequence[str] | None) -> list[list[AtomRecord]]:
    """Residues of the wanted chains, in the order of the file."""
    held = list(dict.fromkeys(residue[0].chain for residue in residues))
    # nameless chains are numbered, but the first of them, which may be the only one, is not
    shown = {name or ("1" if len(held) > 1 and "1" not in held else ""): name for name in held}
    listed = ", ".join([name or "(blank)" for name in shown][:_LISTED]) + (", …" if len(shown) > _LISTED else "")
    if wanted is None:
        if len(held) > 1:
            raise InputError(
                f"{path}: holds {len(held)} protein chains ({listed}); choose with --chain (data.prepare.chains)"
            )
        return residues
    names = {name.strip() for text in wanted for name in (text.split(",") if text not in held else [text])}
    for name in sorted(names - set(held) - set(shown)):
        raise InputError(f"{path}: has no protein chain `{name}`{did_you_mean(name, shown)}; chains: {listed}")
    return [residue for residue in residues if residue[0].chain in {shown.get(name, name) for name in names}]


def _pick_ligands(path: Path, groups: list[list[AtomRecord]], wanted: Sequence[str]) -> list[list[AtomRecord]]:
    foreign = [group for group in groups if not is_protein(group)]
    held = list(dict.fromkeys(group[0].residue_name for group in foreign))
    for name in wanted:
        if name not in held:
            raise InputError(f"{path}: has no ligand `{name}`; besides protein it holds {', '.join(held) or 'nothing'}")
    return [group for group in foreign if group[0].residue_name in wanted]


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


def _assemble(
    path: Path,
    topology: Topology,
    residues: list[list[AtomRecord]],
    ligands: list[list[AtomRecord]],
    *,
    positions: Positions | None,
    box: Box | None,
) -> Structure:
    atoms = [record for residue in residues for record in residue]
    bound = [record for ligand in ligands for record in ligand]
    elements = [*(_known(path, record, record.element) for record in atoms)]
    elements += [_known(path, record, record.ligand_element) for record in bound]
    file_index = np.array([record.index for record in (*atoms, *bound)], dtype=np.int64)
    if positions is None:
        own = np.array([record.position for record in (*atoms, *bound)], dtype=np.float64)
    else:
        own = positions[file_index]
    starts = np.cumsum([0, *(len(residue) for residue in residues)])
    ca = [next(i for i, record in enumerate(residue) if record.name == "CA") for residue in residues]
    ca_index = starts[:-1] + np.array(ca, dtype=np.int64)
    chains = list(dict.fromkeys(residue[0].chain for residue in residues))
    owner = np.repeat(np.arange(len(residues)), np.diff(starts))
    if bound:
        owner = np.concatenate([owner, cKDTree(own[ca_index]).query(own[len(atoms) :])[1]])
    structure = Structure(
        path=path,
        chain=",".join(chains),
        elements=tuple(elements),
        atom_names=tuple(record.name for record in (*atoms, *bound)),
        positions=own,
        residue_of_atom=owner,
        chain_of_residue=np.array([chains.index(residue[0].chain) for residue in residues], dtype=np.int64),
        residue_names=tuple(residue[0].residue_name for residue in residues),
        ca_index=ca_index,
        file_index=file_index,
        file_atoms=len(topology.records),
    )
    return _whole(structure, box)


def _known(path: Path, record: AtomRecord, element: str | None) -> str:
    if element is None:
        raise InputError(
            f"{path}: atom {record.index + 1} `{record.name}` of residue {record.residue_name} "
            f"{record.residue_id} is of no element of a protein; "
            + (f"its element column says `{record.element_column}`" if record.element_column else "give its element")
        )
    return element


def _whole(structure: Structure, box: Box | None) -> Structure:
    """The structure, put together over its box where it is in pieces; one that is whole is left as it is."""
    broken = _reach(structure).max() > _WIDEST_RESIDUE or _longest_step(structure) > _WIDEST_RESIDUE
    if broken and box is not None:
        positions = make_whole(structure.positions, structure.ca_index, structure.residue_of_atom, box)
        structure = replace(structure, positions=positions)
    reach = _reach(structure)
    worst = int(reach.argmax())
    if reach[worst] > _WIDEST_RESIDUE:
        residue = structure.residue_of_atom[worst]
        raise InputError(
            f"{structure.path}: atom `{structure.atom_names[worst]}` of residue {residue + 1} "
            f"{structure.residue_names[residue]} lies {reach[worst]:.0f} Å from its C-alpha, at most "
            f"{_WIDEST_RESIDUE:.0f} Å is possible; make the molecule whole before writing it"
        )
    return structure


def _reach(structure: Structure) -> NDArray[np.float64]:
    """(N,) Å from each atom to its residue's Cα."""
    anchors = structure.positions[structure.ca_index][structure.residue_of_atom]
    return np.linalg.norm(structure.positions - anchors, axis=1)


def _longest_step(structure: Structure) -> float:
    """Å between neighbouring Cα of one chain."""
    steps = np.linalg.norm(np.diff(structure.positions[structure.ca_index], axis=0), axis=1)
    return float(steps[np.diff(structure.chain_of_residue) == 0].max(initial=0.0))
