"""Frames of a trajectory: read one by one, made whole, superposed on P0. The only file that knows mdtraj."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mdtraj.formats import XTCTrajectoryFile
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from moedsr.data.frame_plan import PlannedFrame
from moedsr.data.structure import Structure, load_structure
from moedsr.errors import InputError
from moedsr.geometry.superpose import superpose

__all__ = ["TrajectoryFrame", "frame_count", "load_structure", "make_whole", "read_frames"]

_NM = 10.0  # Å in the nanometres of XTC
_LONGEST_BOND = 3.0  # Å; anything longer is a molecule in pieces
_BOND_LENGTHS = {"H": 1.3, "S": 2.2, "Se": 2.5, "P": 2.2}  # Å, longest bond of P0 to such an atom
_DEFAULT_BOND_LENGTH = 1.75  # Å, between C, N and O


@dataclass(frozen=True, slots=True)
class TrajectoryFrame:
    """One frame in P0's coordinates."""

    replica: int  # from 1
    time: float  # in (-1, 1]
    positions: NDArray[np.float64]  # (N, 3) Å, atoms of the structure


def frame_count(path: Path, structure: Structure) -> int:
    """Number of frames of an XTC file that belongs to a structure.

    Raises:
        InputError: missing or unreadable file, no frame, another number of atoms than the structure's file.
    """
    if path.is_file() and path.stat().st_size == 0:
        raise InputError(f"{path}: holds no frame")
    try:
        with XTCTrajectoryFile(str(path)) as file:
            count = len(file)
            atoms = file.read(n_frames=1)[0].shape[1]
    except (OSError, RuntimeError) as error:
        raise InputError(_unreadable(path, error)) from error
    if atoms != structure.file_atoms:
        raise InputError(
            f"{path}: has {atoms} atoms a frame, but must have the {structure.file_atoms} of {structure.path}"
        )
    return count


def read_frames(
    structure: Structure, trajectories: Sequence[Path], plan: Sequence[PlannedFrame]
) -> Iterator[TrajectoryFrame]:
    """The planned frames, one in memory at a time, whole and superposed on the structure by Cα.

    Raises:
        InputError: unreadable or truncated file, coordinates that are not finite, a molecule in pieces.
    """
    bonds = _bonds(structure)
    target = structure.positions[structure.ca_index]
    for replica, path in enumerate(trajectories, start=1):
        wanted = [frame for frame in plan if frame.replica == replica]
        with XTCTrajectoryFile(str(path)) as file:
            for frame in wanted:
                positions = _read(file, path, frame.index, structure)
                _check_bonds(positions, bonds, f"{path}: frame {frame.index + 1}")
                rotation, translation = superpose(positions[structure.ca_index], target)
                yield TrajectoryFrame(replica, frame.time, positions @ rotation.T + translation)


def make_whole(positions: NDArray[np.float64], structure: Structure, box: NDArray[np.float64]) -> NDArray[np.float64]:
    """A molecule broken over a periodic box, put together again.

    Each Cα moves to the image nearest to the Cα before it, each atom to the image nearest to its Cα. Unlike a
    walk over bonds this needs no naming of atoms, and leaves a whole molecule untouched even where a fit has
    turned the molecule but not the box: residues and steps between them are far shorter than half a box.

    Args:
        positions: (N, 3) Å.
        structure: whose atoms these are.
        box: (3, 3) Å, cell vectors as rows.
    """
    ca = positions[structure.ca_index]
    steps = np.diff(ca, axis=0)
    shifts = np.cumsum(_to_nearest_image(steps, box), axis=0)
    shifts = np.concatenate([np.zeros((1, 3)), shifts])
    own = structure.residue_of_atom
    return positions + _to_nearest_image(positions - ca[own], box) + shifts[own]


def _to_nearest_image(vectors: NDArray[np.float64], box: NDArray[np.float64]) -> NDArray[np.float64]:
    """(P, 3) lattice vectors that make each vector shortest, exact for vectors within half a cell."""
    return -np.round(vectors @ np.linalg.inv(box)) @ box


def _read(file: XTCTrajectoryFile, path: Path, index: int, structure: Structure) -> NDArray[np.float64]:
    try:
        file.seek(index)
        xyz, _, _, box = file.read(n_frames=1)
    except (OSError, RuntimeError) as error:
        raise InputError(f"{_unreadable(path, error)} (frame {index + 1})") from error
    positions = xyz[0, structure.file_index].astype(np.float64) * _NM
    if not np.isfinite(positions).all():
        raise InputError(f"{path}: frame {index + 1} holds coordinates that are not finite")
    if box is None or abs(np.linalg.det(box[0])) < 1e-9:
        return positions
    return make_whole(positions, structure, box[0].astype(np.float64) * _NM)


def _bonds(structure: Structure) -> NDArray[np.int64]:
    """(K, 2) atom pairs of P0 close enough to be bonded."""
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
    return pairs[(length <= limit) & ~(hydrogen[first] & hydrogen[second])]


def _check_bonds(positions: NDArray[np.float64], bonds: NDArray[np.int64], where: str) -> None:
    if not len(bonds):
        return
    length = np.linalg.norm(positions[bonds[:, 0]] - positions[bonds[:, 1]], axis=1)
    if length.max() > _LONGEST_BOND:
        raise InputError(
            f"{where} has a bond of {length.max():.1f} Å, at most {_LONGEST_BOND:.0f} Å is possible; "
            "make the molecule whole (gmx trjconv -pbc whole)"
        )


def _unreadable(path: Path, error: Exception) -> str:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    if not path.exists():
        return f"{path}: does not exist"
    return f"{path}: cannot be read as an XTC trajectory: {reason}"
