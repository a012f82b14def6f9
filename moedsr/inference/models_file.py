"""Conformations as a PDB file of several models, which any viewer plays. The only writer that knows mdtraj."""

from collections.abc import Sequence
from pathlib import Path

import mdtraj
import numpy as np
from numpy.typing import NDArray

from moedsr.files import written_whole
from moedsr.structures.structure import Structure

_PER_NM = 10.0


def write_models(path: Path, structure: Structure, conformations: Sequence[NDArray[np.floating]]) -> None:
    """The atoms of a structure at other positions (N, 3) in Å, one model each; whole or not at all."""
    topology = mdtraj.Topology()
    chains = [topology.add_chain() for _ in range(int(structure.chain_of_residue.max()) + 1)]
    residues = [
        topology.add_residue(name, chains[chain], number)
        for number, (name, chain) in enumerate(
            zip(structure.residue_names, structure.chain_of_residue, strict=True), start=1
        )
    ]
    for name, symbol, owner in zip(structure.atom_names, structure.elements, structure.residue_of_atom, strict=True):
        topology.add_atom(name, mdtraj.element.get_by_symbol(symbol), residues[owner])
    with written_whole(path.with_suffix(".pdb")) as aside:
        shown = aside.with_suffix(".pdb")  # mdtraj goes by the ending
        mdtraj.Trajectory(np.stack(conformations) / _PER_NM, topology).save_pdb(str(shown))
        shown.replace(aside)
