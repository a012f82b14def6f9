"""Frames of an ensemble: read one by one, made whole, superposed on P0."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from moedsr.errors import InputError
from moedsr.structures.frame_plan import PlannedFrame
from moedsr.structures.periodic_box import bring_together, make_whole
from moedsr.structures.structure import Structure, load_structure
from moedsr.structures.superpose import superpose
from moedsr.structures.topologies import read_topology
from moedsr.structures.trajectories import RawFrame, TrajectoryFile, open_trajectory

__all__ = ["TrajectoryFrame", "frame_count", "initial_structure", "load_structure", "read_frames", "time_span"]

_PS_PER_NS = 1000.0
_LONGEST_BOND = 3.0  # Å; anything longer is a molecule in pieces
_BOND_LENGTHS = {"H": 1.3, "S": 2.2, "Se": 2.5, "P": 2.2}  # Å, longest bond of P0 to such an atom
_DEFAULT_BOND_LENGTH = 1.75  # Å, between C, N and O


@dataclass(frozen=True, slots=True)
class TrajectoryFrame:
    """One frame in P0's coordinates."""

    replica: int  # from 1
    time: float  # in (-1, 1]
    positions: NDArray[np.float64]  # (N, 3) Å, atoms of the structure


def initial_structure(
    topology: Path,
    trajectories: Sequence[Path],
    chains: Sequence[str] | None = None,
    ligands: Sequence[str] = (),
) -> Structure:
    """P0: the topology's own conformation, or the first frame of the first trajectory where it has none (PSF).

    Raises:
        InputError: as load_structure and open_trajectory; trajectories of another number of atoms.
    """
    described = read_topology(topology)
    if described.has_positions:
        return load_structure(topology, chains, ligands=ligands)
    with open_trajectory(trajectories[0]) as file:
        _require_atoms(file, len(described.records), topology)
        frame = _finite(file, 0)
    return load_structure(topology, chains, ligands=ligands, positions=frame.positions, box=frame.box)


def frame_count(path: Path, structure: Structure, *, keep_truncated: bool = False) -> int:
    """Number of frames of a trajectory that belongs to a structure.

    Args:
        path: the trajectory.
        structure: whose atoms it must have.
        keep_truncated: whether the whole frames of a file that was cut short are taken.

    Raises:
        InputError: missing or unreadable file, no frame, another number of atoms than the structure's file, a file
            that was cut short.
    """
    with open_trajectory(path) as file:
        _require_atoms(file, structure.file_atoms, structure.path)
        if file.cut and not keep_truncated:
            raise InputError(
                f"{path}: is cut short in frame {file.frames + 1}; the {file.frames} whole frames before it are used "
                "with --keep-truncated (data.prepare.keep_truncated)"
            )
        return file.frames


def time_span(trajectories: Sequence[Path]) -> float | None:
    """ns from the first to the last frame of the longest replica; None where a file does not know its times."""
    spans = []
    for path in trajectories:
        with open_trajectory(path) as file:
            first, last = file.time(0), file.time(file.frames - 1)
        if first is None or last is None or not last > first:
            return None
        spans.append((last - first) / _PS_PER_NS)
    return max(spans)


def read_frames(
    structure: Structure, trajectories: Sequence[Path], plan: Sequence[PlannedFrame]
) -> Iterator[TrajectoryFrame]:
    """The planned frames, one in memory at a time, whole and superposed on the structure by Cα.

    Raises:
        InputError: unreadable file, coordinates that are not finite, a molecule in pieces.
    """
    bonds = _bonds(structure)
    target = structure.positions[structure.ca_index]
    for replica, path in enumerate(trajectories, start=1):
        wanted = [frame for frame in plan if frame.replica == replica]
        with open_trajectory(path) as file:
            for frame in wanted:
                positions = _put_together(_finite(file, frame.index, structure.file_index), structure)
                _check_bonds(positions, bonds, structure, f"{path}: frame {frame.index + 1}")
                rotation, translation = superpose(positions[structure.ca_index], target)
                yield TrajectoryFrame(replica, frame.time, positions @ rotation.T + translation)


def _require_atoms(file: TrajectoryFile, atoms: int, topology: Path) -> None:
    if file.atoms != atoms:
        raise InputError(f"{file.path}: has {file.atoms} atoms a frame, but must have the {atoms} of {topology}")


def _finite(file: TrajectoryFile, index: int, chosen: NDArray[np.int64] | None = None) -> RawFrame:
    """A frame, or its chosen atoms alone."""
    frame = file.read(index)
    if chosen is not None:
        frame = replace(frame, positions=frame.positions[chosen])
    if not np.isfinite(frame.positions).all():
        raise InputError(f"{file.path}: frame {index + 1} holds coordinates that are not finite")
    return frame


def _put_together(frame: RawFrame, structure: Structure) -> NDArray[np.float64]:
    if frame.box is None:
        return frame.positions
    owner, chains = structure.residue_of_atom, structure.chain_of_residue
    whole = make_whole(frame.positions, structure.ca_index, owner, frame.box)
    if chains[-1] == 0:
        return whole
    first = structure.ca_index[chains == 0]
    rotation, translation = superpose(structure.positions[first], whole[first])
    return bring_together(whole, structure.positions @ rotation.T + translation, chains[owner], frame.box)


def _bonds(structure: Structure) -> NDArray[np.int64]:
    """(K, 2) bonded atom pairs of P0: close within one residue, in a peptide or a disulfide bond.

    Atoms of two residues that are merely close, as in a salt bridge, part later.
    """
    limits = np.array([_BOND_LENGTHS.get(element, _DEFAULT_BOND_LENGTH) for element in structure.elements])
    hydrogen = np.array([element == "H" for element in structure.elements])
    pairs = cKDTree(structure.positions).query_pairs(max(_BOND_LENGTHS.values()), output_type="ndarray")
    first, second = pairs[:, 0], pairs[:, 1]
    length = np.linalg.norm(structure.positions[first] - structure.positions[second], axis=1)
    limit = np.where(
        hydrogen[first] | hydrogen[second],
        _BOND_LENGTHS["H"],
        np.maximum(limits[first], limits[second]),
    )
    names, elements = np.array(structure.atom_names), np.array(structure.elements)
    owner = structure.residue_of_atom
    peptide = ((names[first] == "C") & (names[second] == "N")) | ((names[first] == "N") & (names[second] == "C"))
    sulfur = np.isin(elements, ("S", "Se"))
    within = (owner[first] == owner[second]) | peptide | (sulfur[first] & sulfur[second])
    return pairs[within & (length <= limit) & ~(hydrogen[first] & hydrogen[second])]


def _check_bonds(positions: NDArray[np.float64], bonds: NDArray[np.int64], structure: Structure, where: str) -> None:
    if not len(bonds):
        return
    length = np.linalg.norm(positions[bonds[:, 0]] - positions[bonds[:, 1]], axis=1)
    if length.max() > _LONGEST_BOND:
        names = [
            f"{structure.atom_names[atom]} of residue {structure.residue_of_atom[atom] + 1}"
            for atom in bonds[int(length.argmax())]
        ]
        raise InputError(
            f"{where} has a bond of {length.max():.1f} Å ({names[0]} to {names[1]}), at most {_LONGEST_BOND:.0f} Å is "
            "possible; make the molecule whole (gmx trjconv -pbc whole), or look whether the simulation exploded"
        )
