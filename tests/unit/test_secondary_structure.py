"""Helices and strands from the Cα trace."""

from pathlib import Path

import mdtraj
import numpy as np
import pytest

import moedsr.structures
from moedsr.structures.secondary_structure import secondary_structure

BUNDLED = sorted((Path(moedsr.structures.__file__).parent / "mini_atlas").glob("*/*.pdb"))
TURN = np.array([[0.36, 0.48, -0.8], [-0.8, 0.6, 0.0], [0.48, 0.64, 0.6]])
"""A rotation."""


def helix(residues: int) -> np.ndarray:
    """An ideal alpha helix, right-handed: 2.3 Å wide, 1.5 Å and 100 degrees a residue."""
    turn = np.radians(100.0) * np.arange(residues)
    return np.stack([2.3 * np.cos(turn), 2.3 * np.sin(turn), 1.5 * np.arange(residues)], axis=1)


def hairpin(residues: int) -> np.ndarray:
    """Two pleated strands side by side, 3.3 Å a residue and 4.8 Å apart, with a turn of two residues."""
    place = np.arange(residues)
    there = np.stack([3.3 * place, 0.9 * (-1.0) ** place, np.zeros(residues)], axis=1)
    turn = there[-1] + np.array([[2.5, 0.0, 2.0], [1.5, 0.0, 5.5]])
    return np.concatenate([there, turn, there[::-1] + np.array([0.0, 0.0, 4.8])])


def test_helix_however_turned() -> None:
    assert secondary_structure(helix(14)) == f"C{12 * 'H'}C"
    assert secondary_structure(helix(14) @ TURN.T + 7.0) == f"C{12 * 'H'}C"


def test_strands_need_each_other() -> None:
    pair = secondary_structure(hairpin(8))
    assert pair[2:6] == pair[-6:-2] == "E" * 4
    assert secondary_structure(hairpin(8) @ TURN.T - 3.0) == pair
    assert secondary_structure(hairpin(8)[:8]) == "C" * 8


@pytest.mark.parametrize("residues", range(6))
def test_short_chains(residues: int) -> None:
    assert len(secondary_structure(helix(residues))) == residues


@pytest.mark.parametrize("residues", [4, 30])
def test_coincident_atoms(residues: int) -> None:
    assert secondary_structure(np.zeros((residues, 3))) == "C" * residues


@pytest.mark.parametrize("path", BUNDLED, ids=lambda path: path.stem)
def test_as_helical_as_hydrogen_bonds_say(path: Path) -> None:
    """DSSP sees every backbone atom; small proteins full of disulfides are the hardest for the trace alone."""
    by_bonds, by_trace = both_ways(path)
    assert abs(by_bonds.count("H") - by_trace.count("H")) <= 0.25 * len(by_bonds)


def test_crystal_structures_of_many_folds() -> None:
    tests = pytest.importorskip("MDAnalysisTests", reason="its structures are not installed")
    found = [both_ways(path) for path in sorted((Path(tests.__file__).parent / "data" / "dssp").glob("*.pdb.gz"))]
    assert np.mean([a == b for pair in found for a, b in zip(*pair, strict=True)]) > 0.75
    for letter in "HE":
        bonds, trace = np.array([[text.count(letter) / len(text) for text in pair] for pair in found]).T
        assert np.corrcoef(bonds, trace)[0, 1] > 0.9


def both_ways(path: Path) -> tuple[str, str]:
    """By hydrogen bonds, and by the trace, of the residues that have a Cα."""
    structure = mdtraj.load(str(path))
    atoms = {atom.residue.index: atom.index for atom in structure.topology.atoms if atom.name == "CA"}
    by_bonds = mdtraj.compute_dssp(structure, simplified=True)[0][list(atoms)]
    kept = np.isin(by_bonds, list("HEC"))
    trace = structure.xyz[0, list(atoms.values())] * 10
    return "".join(by_bonds[kept]), "".join(np.array(list(secondary_structure(trace)))[kept])
