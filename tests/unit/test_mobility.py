"""Side-chain depth and packing of atoms."""

import numpy as np
import pytest

import moedsr.batches.mobility as mobility_module
from moedsr.batches.mobility import atom_mobility
from moedsr.store.store import SurfaceStore

# two residues of a chain, the first with a side chain of two atoms (CB, CG); 1.5 Å between bonded atoms
NAMES = ("N", "CA", "C", "O", "CB", "CG", "N", "CA")
ELEMENTS = tuple(name[0] for name in NAMES)
POSITIONS = 1.5 * np.array(
    [[-1, 0, 0], [0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 0, 1], [0, 0, 2], [2, 0, 0], [3, 0, 0]], dtype=float
)


def test_depth_counts_bonds_along_the_side_chain() -> None:
    mobility = atom_mobility(POSITIONS, ELEMENTS, np.array([1, 7]))
    depth = dict(zip(range(len(NAMES)), mobility.depth, strict=True))
    assert [depth[i] for i in (1, 2, 3, 6, 7)] == [0, 0, 0, 0, 0]
    assert [depth[i] for i in (4, 5)] == [1, 2]


def test_hydrogens_play_no_part() -> None:
    positions = np.vstack([POSITIONS[0] + np.array([0, -1, 0]), POSITIONS])
    mobility = atom_mobility(positions, ("H", *ELEMENTS), np.array([2, 8]))
    np.testing.assert_allclose(mobility.positions, POSITIONS)
    np.testing.assert_allclose(mobility.depth, atom_mobility(POSITIONS, ELEMENTS, np.array([1, 7])).depth)


def test_an_atom_at_the_end_is_looser_than_one_in_the_middle() -> None:
    looseness = atom_mobility(POSITIONS, ELEMENTS, np.array([1, 7])).looseness
    assert looseness[7] > looseness[1]
    assert looseness[5] > looseness[4]


def test_looseness_is_the_same_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of molecules whose pairs of atoms do not all fit into memory at once."""
    whole = atom_mobility(POSITIONS, ELEMENTS, np.array([1, 7])).looseness
    monkeypatch.setattr(mobility_module, "_PAIRS", 3 * len(ELEMENTS))
    np.testing.assert_array_equal(atom_mobility(POSITIONS, ELEMENTS, np.array([1, 7])).looseness, whole)


def test_one_atom_alone_and_coincident_atoms_are_finite() -> None:
    for positions in (np.zeros((1, 3)), np.zeros((2, 3))):
        mobility = atom_mobility(positions, ("C",) * len(positions), np.array([0]))
        assert np.isfinite(mobility.looseness).all()
        assert np.isfinite(mobility.depth).all()


def test_a_real_protein(tiny_store: SurfaceStore) -> None:
    """Most heavy atoms of a protein are backbone; the longest side chains have seven bonds (arginine, tryptophan)."""
    protein = tiny_store.protein("1vii_A")
    depth = atom_mobility(protein.atom_positions, protein.elements, protein.ca_index).depth
    assert 0.4 < (depth == 0).mean() < 0.7
    assert depth.max() <= 7
