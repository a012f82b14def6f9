"""Periodic boxes: cell vectors, and molecules that a box has cut in pieces."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Positions = NDArray[np.float64]
Box = NDArray[np.float64]

_LARGEST_LENGTH = 1e6  # Å
_SMALLEST_CELL = 1.0  # Å³; less is the zero box of a simulation without one


def cell_vectors(lengths: ArrayLike, angles: ArrayLike) -> Box:
    """Rows a, b, c (3, 3) of a cell given by three lengths and three angles in degrees, a along x."""
    a, b, c = np.asarray(lengths, dtype=np.float64)
    alpha, beta, gamma = np.radians(np.asarray(angles, dtype=np.float64))
    with np.errstate(all="ignore"):  # what is no cell has no volume, or none that is finite
        c_x, c_y = c * np.cos(beta), c * (np.cos(alpha) - np.cos(beta) * np.cos(gamma)) / np.sin(gamma)
        c_z = np.sqrt(np.maximum(c**2 - c_x**2 - c_y**2, 0.0))
    return np.array([[a, 0.0, 0.0], [b * np.cos(gamma), b * np.sin(gamma), 0.0], [c_x, c_y, c_z]])


def usable(box: Box | None) -> Box | None:
    """The box, or None where it is missing, not finite or has no volume."""
    if box is None or not np.isfinite(box).all() or np.abs(box).max() > _LARGEST_LENGTH:
        return None
    return box if abs(np.linalg.det(box)) > _SMALLEST_CELL else None


def make_whole(
    positions: Positions, ca_index: NDArray[np.int64], residue_of_atom: NDArray[np.int64], box: Box
) -> Positions:
    """A chain broken over a periodic box, put together again.

    Each Cα moves to the image nearest to the Cα before it, each atom to the image nearest to its Cα. Unlike a
    walk over bonds this needs no naming of atoms, and leaves a whole molecule untouched even where a fit has
    turned the molecule but not the box: residues and steps between them are far shorter than half a box.

    Args:
        positions: (N, 3) Å.
        ca_index: (R,) atom of each residue's Cα.
        residue_of_atom: (N,).
        box: (3, 3) Å, cell vectors as rows.
    """
    ca = positions[ca_index]
    shifts = np.cumsum(to_nearest_image(np.diff(ca, axis=0), box), axis=0)
    shifts = np.concatenate([np.zeros((1, 3)), shifts])
    return positions + to_nearest_image(positions - ca[residue_of_atom], box) + shifts[residue_of_atom]


def bring_together(positions: Positions, reference: Positions, chain_of_atom: NDArray[np.int64], box: Box) -> Positions:
    """Whole chains moved by cell vectors to where they stand in P0, seen from the first chain.

    Args:
        positions: (N, 3) Å, each chain whole.
        reference: (N, 3) Å, P0, turned as the first chain of `positions` is.
        chain_of_atom: (N,) from 0.
        box: (3, 3) Å, cell vectors as rows.
    """
    moved = positions.copy()
    first = chain_of_atom == 0
    for chain in range(1, int(chain_of_atom.max(initial=0)) + 1):
        own = chain_of_atom == chain
        step = positions[own].mean(axis=0) - positions[first].mean(axis=0)
        expected = reference[own].mean(axis=0) - reference[first].mean(axis=0)
        moved[own] += to_nearest_image((step - expected)[None], box)
    return moved


def to_nearest_image(vectors: Positions, box: Box) -> Positions:
    """(P, 3) lattice vectors that make each vector shortest, exact for vectors within half a cell."""
    return -np.round(vectors @ np.linalg.inv(box)) @ box
