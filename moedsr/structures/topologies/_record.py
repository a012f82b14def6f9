"""One atom as a topology file names it, with its element made right; what every reader gives."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moedsr.structures.radii import BONDI_RADII

_ELEMENTS = {
    "H": "H",
    "D": "H",
    "C": "C",
    "N": "N",
    "O": "O",
    "S": "S",
    "P": "P",
    "SE": "Se",
    "F": "F",
    "CL": "Cl",
}
"""Elements that occur inside amino acids, natural or modified; deuterium counts as hydrogen."""

_UNMISTAKABLE = {"AS": "As", "B": "B", "BR": "Br", "I": "I"}
"""Elements of modified amino acids that no atom name of a natural one is taken for; believed from the column alone."""

_SELENIUM_RESIDUES = frozenset({"MSE", "SEC", "CSE"})


@dataclass(frozen=True, slots=True)
class AtomRecord:
    """One atom; position in Å."""

    index: int  # among the atoms of the model, from 0: the atom's place in a trajectory
    name: str
    alternate: str
    residue_name: str
    chain: str  # chain id, else segment id; nameless chains are numbered
    residue_id: str  # number and insertion code
    position: tuple[float, float, float]
    occupancy: float
    element_column: str
    hetero: bool
    after_end: bool  # behind its chain's end, where ligands and waters stand

    @property
    def element(self) -> str | None:
        """Symbol from the element column, or from the atom name where the column is empty or a wrong guess.

        Tools without an element column read CA as calcium and HG as mercury, so a symbol foreign to amino
        acids is not believed. None: not an element of a protein.
        """
        if known := _ELEMENTS.get(self.element_column) or _UNMISTAKABLE.get(self.element_column):
            return known
        letters = self.name.lstrip("0123456789'\"*").upper()
        if letters.startswith("SE") and self.residue_name in _SELENIUM_RESIDUES:
            return "Se"
        return _ELEMENTS.get(letters[:1])

    @property
    def ligand_element(self) -> str | None:
        """The same for an atom of no amino acid, where metals and halogens are believed too."""
        name = self.name.strip("0123456789'\"*+-").upper()
        ion = name if name == self.residue_name.strip("0123456789+-") else ""
        for symbol in (self.element_column, ion):
            if symbol not in _ELEMENTS and symbol in BONDI_RADII:
                return symbol.capitalize()
        return self.element


@dataclass(frozen=True)
class Topology:
    """All atoms of a file's first model, solvent included."""

    records: list[AtomRecord]
    box: NDArray[np.float64] | None = None  # (3, 3) Å, rows are cell vectors; None: no periodic box known
    has_positions: bool = True  # False: the format names atoms only, P0 is a trajectory's first frame
