"""Residues as rigid bodies: coordinates that turn and move with the protein, and atoms placed by them exactly."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csc_array, diags_array
from scipy.sparse.linalg import spsolve
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from moedsr.errors import InputError

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

_IN_LINE = 0.1  # sine of an angle, below which three atoms give no axes
_TOLERANCE = 0.01  # Å, of a bond between residues
_CONTACT = 2.8  # Å, nearest that heavy atoms of two residues come without a bond
_OVERLAP = 0.1  # Å, by which they may come nearer
_DAMPING = 0.3  # of contacts, which may contradict each other
_STEP = 0.5  # Å, longest of a length in one round
_ROUNDS = 40


@dataclass(frozen=True, kw_only=True)
class RigidResidues:
    """R residues of N atoms about P0.

    Of the six coordinates of a residue three shift it and three turn it along its own axes, each scaled so that to
    first order their squares sum to those of its heavy atoms' displacements, in Å².
    """

    positions: Floats  # (N, 3) Å, P0
    residue_of_atom: Indices  # (N,) from 0
    ca_index: Indices  # (R,)
    heavy: Indices  # (M,) atoms that are no hydrogens
    centres: Floats  # (R, 3) Å, means of the heavy atoms
    shifts: Floats  # (R, 3, 3) first three coordinates to translation
    turns: Floats  # (R, 3, 3) last three to rotation vector

    @classmethod
    def of(
        cls,
        positions: NDArray[np.floating],
        elements: tuple[str, ...],
        residue_of_atom: NDArray[np.integer],
        ca_index: NDArray[np.integer],
        where: str,
    ) -> Self:
        """Axes by the Cα and the first two heavy atoms out of line with it: N and C as a rule.

        Raises:
            InputError: a residue without three heavy atoms that are not in line; `where` opens the message.
        """
        atoms_at: Floats = np.asarray(positions, dtype=np.float64)
        heavy = np.flatnonzero([element not in ("H", "D") for element in elements])
        owner = np.asarray(residue_of_atom, dtype=np.int64)
        count = len(ca_index)
        ends = np.cumsum(np.bincount(owner[heavy], minlength=count))
        # a ligand's atoms, which belong to the residue nearest to them, stand at the end
        by_residue = np.split(heavy[np.argsort(owner[heavy], kind="stable")], ends[:-1])
        centres, shifts, turns = np.empty((count, 3)), np.empty((count, 3, 3)), np.empty((count, 3, 3))
        for residue, (atoms, ca) in enumerate(zip(by_residue, ca_index, strict=True)):
            axes = _axes(atoms_at[ca], atoms_at[atoms[atoms != ca]])
            if axes is None:
                raise InputError(
                    f"{where}: residue {residue + 1} has {len(atoms)} heavy atoms, but three that are not in line are "
                    "needed for its axes; add the missing ones (pdbfixer does) or leave the residue out"
                )
            centres[residue] = atoms_at[atoms].mean(0)
            arms = (atoms_at[atoms] - centres[residue]) @ axes
            values, vectors = np.linalg.eigh(np.eye(3) * np.square(arms).sum() - arms.T @ arms)
            shifts[residue] = axes / np.sqrt(len(atoms))
            turns[residue] = axes @ (vectors / np.sqrt(values)) @ vectors.T
        return cls(
            positions=atoms_at,
            residue_of_atom=owner,
            ca_index=np.asarray(ca_index, dtype=np.int64),
            heavy=heavy,
            centres=centres,
            shifts=shifts,
            turns=turns,
        )

    def __len__(self) -> int:
        return len(self.ca_index)

    @cached_property
    def arms(self) -> Floats:
        """(N, 3) Å from the residue's centre to each atom."""
        return self.positions - self.centres[self.residue_of_atom]

    @cached_property
    def jacobian(self) -> Floats:
        """(N, 3, 6): how each atom moves with its residue's coordinates, to first order."""
        owner = self.residue_of_atom
        turned = np.cross(self.turns[owner].transpose(0, 2, 1), self.arms[:, None]).transpose(0, 2, 1)
        return np.concatenate([self.shifts[owner], turned], axis=2)

    def place(self, coordinates: Floats) -> Floats:
        """Atoms (S, N, 3) in Å of coordinates (S, R, 6)."""
        shift = np.einsum("rij,srj->sri", self.shifts, coordinates[..., :3])
        vector = np.einsum("rij,srj->sri", self.turns, coordinates[..., 3:])
        turn = Rotation.from_rotvec(vector.reshape(-1, 3)).as_matrix().reshape(*vector.shape, 3)
        owner = self.residue_of_atom
        return np.einsum("snij,nj->sni", turn[:, owner], self.arms) + (self.centres + shift)[:, owner]

    def relax(self, atoms: Floats, bonds: Indices) -> Floats:
        """Conformations (S, N, 3) with the bonds (K, 2) between residues as long as in P0, and without clashes.

        To first order a motion keeps the bonds, exactly a large one does not, and it knows nothing of atoms that meet.
        Residues move rigidly and as little as needed, by the sum of squares over heavy atoms: Newton steps on the
        lengths of bonds, and of heavy atoms' distances below both 2.8 Å and that in P0.
        """
        return np.stack([self._relaxed(conformation, bonds) for conformation in atoms])

    def _relaxed(self, atoms: Floats, bonds: Indices) -> Floats:
        owner, heavy = self.residue_of_atom, self.heavy
        sizes = np.bincount(owner[heavy], minlength=len(self))
        for number in range(2 * _ROUNDS):
            # where both cannot be had, bonds come first
            pairs = bonds if number >= _ROUNDS else np.concatenate([bonds, self._clashes(atoms)])
            way = atoms[pairs[:, 0]] - atoms[pairs[:, 1]]
            length = np.linalg.norm(way, axis=1)
            target = np.linalg.norm(self.positions[pairs[:, 0]] - self.positions[pairs[:, 1]], axis=1)
            target[len(bonds) :] = np.minimum(target[len(bonds) :], _CONTACT)
            missing = target - length
            if len(pairs) == len(bonds) and (np.abs(missing) < _TOLERANCE).all():
                break
            centres = _means(atoms[heavy], owner[heavy], sizes)
            arms = atoms - centres[owner]
            inverse = _block_diagonal(_inverse_inertia(arms[heavy], owner[heavy], sizes))
            pulls = _pulls(way / length[:, None], arms, pairs, owner, len(self))
            damping = np.where(np.arange(len(pairs)) < len(bonds), 1e-6, _DAMPING)
            system = csc_array(pulls @ inverse @ pulls.T + diags_array(damping))
            step = (inverse @ (pulls.T @ spsolve(system, np.clip(missing, -_STEP, _STEP)))).reshape(-1, 6)
            turn = Rotation.from_rotvec(step[:, 3:]).as_matrix()
            atoms = np.einsum("nij,nj->ni", turn[owner], arms) + (centres + step[:, :3])[owner]
        return atoms

    def _clashes(self, atoms: Floats) -> Indices:
        """(C, 2) heavy atoms of two residues that are too close."""
        pairs = self.heavy[cKDTree(atoms[self.heavy]).query_pairs(_CONTACT - _OVERLAP, output_type="ndarray")]
        pairs = pairs[self.residue_of_atom[pairs[:, 0]] != self.residue_of_atom[pairs[:, 1]]]
        now, before = (np.linalg.norm(x[pairs[:, 0]] - x[pairs[:, 1]], axis=1) for x in (atoms, self.positions))
        return pairs[now < np.minimum(before, _CONTACT) - _OVERLAP]


def _pulls(directions: Floats, arms: Floats, pairs: Indices, owner: Indices, residues: int) -> csc_array:
    """(K, 6R): how the lengths of pairs (K, 2) change as residues shift and turn about their centres."""
    blocks, columns = [], []
    for side, sign in ((0, 1.0), (1, -1.0)):
        at = pairs[:, side]
        blocks.append(sign * np.concatenate([directions, np.cross(arms[at], directions)], axis=1))
        columns.append(6 * owner[at][:, None] + np.arange(6))
    rows = np.repeat(np.arange(len(pairs)), 12)
    values, places = np.concatenate(blocks, axis=1), np.concatenate(columns, axis=1)
    return csc_array(coo_array((values.ravel(), (rows, places.ravel())), shape=(len(pairs), 6 * residues)))


def _axes(ca: Floats, others: Floats) -> Floats | None:
    """Orthonormal columns by two directions out of line, or None."""
    way = others - ca
    length = np.linalg.norm(way, axis=1)
    if len(way) < 2 or not length.all():
        return None
    way = way / length[:, None]
    normal = np.cross(way[0], way[1:])
    sines = np.linalg.norm(normal, axis=1)
    usable = np.flatnonzero(sines > _IN_LINE)
    if not len(usable):
        return None
    third = normal[usable[0]] / sines[usable[0]]
    return np.stack([way[0], np.cross(third, way[0]), third], axis=1)


def _means(points: Floats, owner: Indices, sizes: NDArray[np.integer]) -> Floats:
    return np.stack([np.bincount(owner, points[:, k], len(sizes)) for k in range(3)], 1) / sizes[:, None]


def _inverse_inertia(arms: Floats, owner: Indices, sizes: NDArray[np.integer]) -> Floats:
    """(R, 6, 6) of rigid bodies whose atoms all weigh one, about their centres."""
    square = np.eye(3) * np.square(arms).sum(1)[:, None, None] - arms[:, :, None] * arms[:, None, :]
    inertia = np.zeros((len(sizes), 3, 3))
    np.add.at(inertia, owner, square)
    inverse = np.zeros((len(sizes), 6, 6))
    inverse[:, range(3), range(3)] = 1 / sizes[:, None]
    inverse[:, 3:, 3:] = np.linalg.inv(inertia)
    return inverse


def _block_diagonal(blocks: Floats) -> csc_array:
    count, size = blocks.shape[:2]
    place = size * np.arange(count)[:, None] + np.arange(size)
    row, column = (np.broadcast_to(p, blocks.shape).ravel() for p in (place[:, :, None], place[:, None, :]))
    return csc_array(coo_array((blocks.ravel(), (row, column)), shape=(size * count,) * 2))
