"""Elastic network of one conformation: springs between the heavy atoms of rigid residues, and samples of its motion.

The energy is harmonic about P0, so equilibrium is a Gaussian of covariance a H⁺, without the six motions of the whole
(M. Tirion, Phys. Rev. Lett. 77, 1905, 1996; residues as blocks: F. Tama et al., Proteins 41, 1, 2000; springs that
weaken with the sixth power of their length: K. Hinsen et al., Chem. Phys. 261, 25, 2000).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.sparse import coo_array, csc_array
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import eigsh
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from moedsr.errors import InputError
from moedsr.geometry.rigid_residues import Floats, Indices, RigidResidues

MEAN_SQUARE_DISPLACEMENT = 4.7
"""Å², of heavy atoms about P0: geometric mean over the six bundled ensembles, 1.3 to 9.6; superposed by Cα."""

MODES = 300
"""Softest modes that move; what is stiffer hardly does."""

_CUTOFF = 12.0  # Å
_UNIT = 3.8  # Å between neighbouring Cα, whose spring has stiffness one
_CLOSEST = 1.2  # Å
_BOND, _ANGLE = 1000.0, 300.0  # stiffness between bonded atoms, and between neighbours of the same atom
_COVALENT_RADII = {"C": 0.76, "N": 0.71, "O": 0.66, "P": 1.07, "S": 1.05, "Se": 1.20}
_STRETCH = 1.25  # of the sum of the covalent radii, within which two atoms are bonded
_LONGEST_BOND = 3.0  # Å
_SPRINGS_AT_ONCE = 50_000  # whose blocks are in memory
_DENSE = 1500  # coordinates up to which a dense eigensolver is the faster one
_RIGID = 6
_LOOSE = 1e-7  # of the mean stiffness of a coordinate; a mode below it meets no spring


@dataclass(frozen=True, kw_only=True)
class Springs:
    """All springs between two residues as one, P pairs of residues."""

    pairs: Indices  # (P, 2) the smaller number first
    blocks: Floats  # (P, 12, 12) second derivatives by the coordinates of the first and the second residue

    def hessian(self, residues: int, scale: Floats | None = None) -> csc_array:
        """(6R, 6R), the springs of each pair scaled by (P,)."""
        place = (6 * self.pairs[:, :, None] + np.arange(6)).reshape(-1, 12)
        values = self.blocks if scale is None else self.blocks * scale[:, None, None]
        row, column = (np.broadcast_to(p, values.shape).ravel() for p in (place[:, :, None], place[:, None, :]))
        return csc_array(coo_array((values.ravel(), (row, column)), shape=(6 * residues,) * 2))


@dataclass(frozen=True, kw_only=True)
class ElasticNetwork:
    """How a protein fluctuates about P0, from P0 alone. N atoms, R residues, m modes."""

    residues: RigidResidues
    springs: Springs
    bonds: Indices  # (K, 2) atoms of two residues that are bonded
    amplitude: float  # a, Å²
    stiffness: Floats  # (m,) of the softest modes, ascending, without the six rigid ones
    modes: Floats  # (6R, m) orthonormal, signs as they come

    @classmethod
    def of(
        cls,
        positions: NDArray[np.floating],
        elements: tuple[str, ...],
        residue_of_atom: NDArray[np.integer],
        ca_index: NDArray[np.integer],
        *,
        bonds: NDArray[np.integer] | None = None,
        mean_square_displacement: float = MEAN_SQUARE_DISPLACEMENT,
        modes: int = MODES,
        where: str = "elastic network",
    ) -> Self:
        """The network of one conformation.

        Args:
            positions: (N, 3) Å.
            elements: (N,) symbols; hydrogens ride on their residue.
            residue_of_atom: (N,) from 0.
            ca_index: (R,) atoms that are Cα, in the order of the chain.
            bonds: (K, 2) bonded pairs of atoms; default: by distance, within residues, from C to N of neighbours in
                the chain, and between sulfurs.
            mean_square_displacement: Å², of heavy atoms about P0; sets the amplitude to first order: samples, which
                turn residues exactly, reach a fifth less at the default.
            modes: softest ones to keep, all where there are fewer.
            where: opens every message.

        Raises:
            InputError: a residue of fewer than three heavy atoms or with all in line, a network in pieces or with a
                part that hangs loose, a mean_square_displacement that is not positive.
        """
        if not mean_square_displacement > 0:
            raise InputError(
                f"{where}: the mean square displacement is {mean_square_displacement:g} Å², but must be positive"
            )
        residues = RigidResidues.of(positions, elements, residue_of_atom, ca_index, where)
        bonded = _bonds(residues, elements) if bonds is None else np.asarray(bonds, dtype=np.int64)
        bonded = bonded[np.isin(bonded, residues.heavy).all(1)]
        springs = _springs(residues, bonded)
        _require_one_piece(residues, springs, where)
        stiffness, shapes = _softest_modes(springs.hessian(len(residues)), modes, where)
        owner = residues.residue_of_atom
        return cls(
            residues=residues,
            springs=springs,
            bonds=bonded[owner[bonded[:, 0]] != owner[bonded[:, 1]]],
            amplitude=mean_square_displacement * len(residues.heavy) / float((1 / stiffness).sum()),
            stiffness=stiffness,
            modes=shapes,
        )

    @cached_property
    def atom_rmsf(self) -> Floats:
        """(N,) Å, root mean square fluctuation of every atom, to first order."""
        spread = (self.modes * np.sqrt(self.amplitude / self.stiffness)).reshape(len(self.residues), 6, -1)
        covariance = spread @ spread.transpose(0, 2, 1)
        jacobian = self.residues.jacobian
        square = np.einsum("nij,njk,nik->n", jacobian, covariance[self.residues.residue_of_atom], jacobian)
        return np.sqrt(square)

    @property
    def rmsf(self) -> Floats:
        """(R,) Å, of every Cα."""
        return self.atom_rmsf[self.residues.ca_index]

    def draw(self, samples: int, seed: int) -> Floats:
        """ξ (S, R, 6), standard normal."""
        return np.random.default_rng(seed).normal(size=(samples, len(self.residues), 6))

    def coordinates(self, xi: Floats) -> Floats:
        """C^½ ξ: coordinates (S, R, 6) of residues for standard normal ξ of the same shape."""
        flat = xi.reshape(len(xi), -1) @ self.modes
        return ((flat * np.sqrt(self.amplitude / self.stiffness)) @ self.modes.T).reshape(xi.shape)

    def sample(self, xi: Floats) -> Floats:
        """Atoms (S, N, 3) in Å for ξ (S, R, 6), superposed on P0 by Cα; bonds as in P0, no clashes.

        The same ξ gives the same conformation however P0 is turned and moved.
        """
        atoms = self.residues.relax(self.residues.place(self.coordinates(xi)), self.bonds)
        ca = self.residues.ca_index
        target = self.residues.positions[ca]
        centre = target.mean(0)
        for number, conformation in enumerate(atoms):
            middle = conformation[ca].mean(0)
            turn, _ = Rotation.align_vectors(target - centre, conformation[ca] - middle)
            atoms[number] = turn.apply(conformation - middle) + centre
        return atoms


def _bonds(residues: RigidResidues, elements: tuple[str, ...]) -> Indices:
    """(K, 2) pairs of heavy atoms."""
    heavy, owner = residues.heavy, residues.residue_of_atom
    pairs = heavy[cKDTree(residues.positions[heavy]).query_pairs(_LONGEST_BOND, output_type="ndarray")]
    pairs = np.sort(pairs, axis=1)
    pairs = np.where((owner[pairs[:, 0]] > owner[pairs[:, 1]])[:, None], pairs[:, ::-1], pairs)
    radii = np.array([_COVALENT_RADII.get(element, 0.76) for element in elements])
    length = np.linalg.norm(residues.positions[pairs[:, 0]] - residues.positions[pairs[:, 1]], axis=1)
    symbols = np.array(elements)
    first, second = symbols[pairs[:, 0]], symbols[pairs[:, 1]]
    step = owner[pairs[:, 1]] - owner[pairs[:, 0]]
    peptide = (step == 1) & (first == "C") & (second == "N")
    bridge = np.isin(first, ("S", "Se")) & np.isin(second, ("S", "Se"))
    return pairs[(length < _STRETCH * radii[pairs].sum(1)) & ((step == 0) | peptide | bridge)]


def _springs(residues: RigidResidues, bonds: Indices) -> Springs:
    heavy, owner = residues.heavy, residues.residue_of_atom
    pairs = heavy[cKDTree(residues.positions[heavy]).query_pairs(_CUTOFF, output_type="ndarray")]
    pairs = pairs[owner[pairs[:, 0]] != owner[pairs[:, 1]]]
    if not len(pairs):
        return Springs(pairs=np.zeros((0, 2), dtype=np.int64), blocks=np.zeros((0, 12, 12)))
    pairs = np.where((owner[pairs[:, 0]] > owner[pairs[:, 1]])[:, None], pairs[:, ::-1], pairs)
    count = len(residues)
    key = owner[pairs[:, 0]] * count + owner[pairs[:, 1]]
    order = np.argsort(key, kind="stable")
    pairs, key = pairs[order], key[order]
    way = residues.positions[pairs[:, 0]] - residues.positions[pairs[:, 1]]
    length = np.linalg.norm(way, axis=1)
    stiffness = _stiffness(pairs, length, bonds, len(residues.positions))
    stretch = way * (np.sqrt(stiffness) / length)[:, None]
    keys = np.unique(key)
    blocks = np.zeros((len(keys), 12, 12))
    place = np.searchsorted(keys, key)
    jacobian = residues.jacobian
    for begin in range(0, len(pairs), _SPRINGS_AT_ONCE):
        part = slice(begin, begin + _SPRINGS_AT_ONCE)
        first = np.einsum("ni,nij->nj", stretch[part], jacobian[pairs[part, 0]])
        second = -np.einsum("ni,nij->nj", stretch[part], jacobian[pairs[part, 1]])
        both = np.concatenate([first, second], axis=1)
        own, begins = np.unique(place[part], return_index=True)
        blocks[own] += np.add.reduceat(both[:, :, None] * both[:, None, :], begins, axis=0)
    return Springs(pairs=np.stack([keys // count, keys % count], 1), blocks=blocks)


def _stiffness(pairs: Indices, length: Floats, bonds: Indices, atoms: int) -> Floats:
    """(P,) of the springs of atom pairs."""
    stiffness = (_UNIT / np.maximum(length, _CLOSEST)) ** 6
    ones = np.ones(2 * len(bonds))
    graph = csc_array(
        coo_array((ones, (np.r_[bonds[:, 0], bonds[:, 1]], np.r_[bonds[:, 1], bonds[:, 0]])), (atoms,) * 2)
    )
    for neighbours, value in ((graph @ graph, _ANGLE), (graph, _BOND)):
        found = coo_array(neighbours)
        joined = found.row.astype(np.int64) * atoms + found.col
        stiffness[np.isin(pairs[:, 0] * atoms + pairs[:, 1], joined)] = value
    return stiffness


def _require_one_piece(residues: RigidResidues, springs: Springs, where: str) -> None:
    ones = np.ones(len(springs.pairs))
    graph = coo_array((ones, (springs.pairs[:, 0], springs.pairs[:, 1])), (len(residues),) * 2)
    pieces, piece = connected_components(graph, directed=False)
    if pieces == 1:
        return
    smallest = int(np.bincount(piece).argmin())
    loose = np.flatnonzero(piece == smallest)
    atoms = residues.positions[residues.heavy]
    inside = np.isin(residues.residue_of_atom[residues.heavy], loose)
    gap = float(np.min(cKDTree(atoms[~inside]).query(atoms[inside])[0]))
    raise InputError(
        f"{where}: falls into {pieces} pieces; {_listed(loose)} {'is' if len(loose) == 1 else 'are'} {gap:.0f} Å from "
        f"the rest, but springs reach {_CUTOFF:g} Å; give the chain that holds together, or the missing residues"
    )


def _listed(residues: Indices) -> str:
    runs = np.split(residues, np.flatnonzero(np.diff(residues) > 1) + 1)
    names = [f"{run[0] + 1}" if len(run) == 1 else f"{run[0] + 1}-{run[-1] + 1}" for run in runs[:3]]
    return f"residue{'s' if len(residues) > 1 else ''} {', '.join(names)}{', …' if len(runs) > 3 else ''}"


def _softest_modes(hessian: csc_array, most: int, where: str) -> tuple[Floats, Floats]:
    """Stiffness (m,) and modes (6R, m) without the rigid ones."""
    size = hessian.shape[0]
    wanted = min(most + _RIGID, size)
    unit = float(hessian.diagonal().mean())
    if size <= _DENSE or 2 * wanted > size:
        stiffness, modes = eigh(hessian.toarray(), subset_by_index=[0, wanted - 1])
    else:
        start = np.random.default_rng(0).normal(size=size)
        # just below zero, where the shifted matrix is positive definite
        stiffness, modes = eigsh(hessian, wanted, sigma=-1e-4 * unit, v0=start, ncv=min(4 * wanted // 3, size))
        order = np.argsort(stiffness)
        stiffness, modes = stiffness[order], modes[:, order]
    loose = modes[:, stiffness < _LOOSE * unit]
    if loose.shape[1] > _RIGID:
        share = np.square(loose).sum(1).reshape(-1, 6).sum(1)
        worst = int(share.argmax())
        raise InputError(
            f"{where}: {loose.shape[1] - _RIGID} motions meet no spring, most of all that of residue {worst + 1}; "
            "give the chain that holds together, or the missing residues"
        )
    return stiffness[_RIGID:], modes[:, _RIGID:]
