"""Signs of mobility that one conformation shows: how far out in its side chain an atom is, how loosely packed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree

_COVALENT_RADII = {"H": 0.31, "C": 0.76, "N": 0.71, "O": 0.66, "F": 0.57, "P": 1.07, "S": 1.05, "Cl": 1.02, "Se": 1.20}
_STRETCH = 1.25  # of the sum of the covalent radii, within which two atoms are bonded
_LONGEST_BOND = 3.0  # Å
_FARTHEST = 9  # bonds, for an atom that no bond connects to a Cα
_PEPTIDE = 3  # bonds between the Cα of two neighbours in the chain
_PAIRS = 1_000_000  # of atoms, whose distances are in memory at once


@dataclass(frozen=True)
class AtomMobility:
    """Of N heavy atoms."""

    positions: NDArray[np.float64]  # (N, 3) Å
    depth: NDArray[np.float64]  # (N,) bonds from the Cα along the side chain; 0 in the backbone
    looseness: NDArray[np.float64]  # (N,) Å², inverse of the weighted contact number Σ 1/d² over the other heavy atoms


def atom_mobility(
    positions: NDArray[np.floating], elements: tuple[str, ...], ca_index: NDArray[np.integer]
) -> AtomMobility:
    """From coordinates alone: bonds are found by distance, the backbone as what lies between neighbouring Cα.

    Args:
        positions: (N, 3) Å, hydrogens included or not.
        elements: (N,) symbols.
        ca_index: (R,) atoms that are Cα, in the order of the chain.
    """
    heavy = np.flatnonzero(np.array([element != "H" for element in elements]))
    centres = np.asarray(positions, dtype=np.float64)[heavy]
    ca = np.searchsorted(heavy, ca_index)
    return AtomMobility(centres, _depths(centres, tuple(elements[i] for i in heavy), ca), _looseness(centres))


def _depths(centres: NDArray[np.float64], elements: tuple[str, ...], ca: NDArray[np.integer]) -> NDArray[np.float64]:
    pairs = cKDTree(centres).query_pairs(_LONGEST_BOND, output_type="ndarray")
    radii = np.array([_COVALENT_RADII.get(element, 0.76) for element in elements])
    lengths = np.linalg.norm(centres[pairs[:, 0]] - centres[pairs[:, 1]], axis=1)
    pairs = pairs[lengths < _STRETCH * radii[pairs].sum(axis=1)]
    graph = csr_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(centres),) * 2)
    nearest = np.full(len(centres), np.inf)
    backbone = np.zeros(len(centres), dtype=bool)
    before = None
    for place in ca:  # one at a time: all at once would need a matrix of residues times atoms
        steps = dijkstra(graph, directed=False, indices=[int(place)], unweighted=True, limit=_FARTHEST)[0]
        if before is not None and steps[before[0]] == _PEPTIDE:
            backbone |= steps + before[1] == _PEPTIDE
        nearest = np.minimum(nearest, steps)
        before = (int(place), steps)
    # an oxygen on the backbone's carbon has no side chain of its own
    carbonyl = np.array([element == "O" for element in elements]) & (nearest == 2) & _touches(graph, backbone, ca)
    depth = np.minimum(nearest, _FARTHEST)
    depth[backbone | carbonyl] = 0
    return depth


def _touches(graph: csr_array, backbone: NDArray[np.bool_], ca: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Atoms bonded to an atom of the backbone other than a Cα."""
    inner = backbone.copy()
    inner[ca] = False
    weights = inner.astype(np.float64)
    return np.asarray(graph @ weights + graph.T @ weights) > 0


def _looseness(centres: NDArray[np.float64]) -> NDArray[np.float64]:
    contacts = np.zeros(len(centres))
    rows = 1 + _PAIRS // max(len(centres), 1)
    for start in range(0, len(centres), rows):
        square = np.square(centres[start : start + rows, None] - centres).sum(axis=-1)
        square[np.arange(len(square)), start + np.arange(len(square))] = np.inf
        contacts[start : start + rows] = (1 / np.maximum(square, 0.25)).sum(axis=1)
    return 1 / np.maximum(contacts, 1e-3)
