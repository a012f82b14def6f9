"""Van der Waals radii of atoms."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from moedsr.errors import InputError

_ATOMS: Mapping[str, tuple[int, float]] = {
    "H": (1, 1.20),
    "D": (1, 1.20),
    "C": (6, 1.70),
    "N": (7, 1.55),
    "O": (8, 1.52),
    "F": (9, 1.47),
    "NA": (11, 2.27),
    "MG": (12, 1.73),
    "SI": (14, 2.10),
    "P": (15, 1.80),
    "S": (16, 1.80),
    "CL": (17, 1.75),
    "K": (19, 2.75),
    "NI": (28, 1.63),
    "CU": (29, 1.40),
    "ZN": (30, 1.39),
    "AS": (33, 1.85),
    "SE": (34, 1.90),
    "BR": (35, 1.85),
    "CD": (48, 1.58),
    "I": (53, 1.98),
    "HG": (80, 1.55),
    # not in Bondi's list: M. Mantina et al., J. Phys. Chem. A 113, 5806 (2009)
    "LI": (3, 1.81),
    "B": (5, 1.92),
    "AL": (13, 1.84),
    "CA": (20, 2.31),
    "RB": (37, 3.03),
    "SR": (38, 2.49),
    "CS": (55, 3.43),
    "BA": (56, 2.68),
    # nor there: 2 Å, as the Cambridge Crystallographic Data Centre takes for such
    "V": (23, 2.00),
    "MN": (25, 2.00),
    "FE": (26, 2.00),
    "CO": (27, 2.00),
    "MO": (42, 2.00),
    "W": (74, 2.00),
}
"""Atomic number and radius in Å by upper-case element symbol."""

BONDI_RADII: Mapping[str, float] = {symbol: radius for symbol, (_, radius) in _ATOMS.items()}
"""Å, by upper-case element symbol. A. Bondi, J. Phys. Chem. 68, 441 (1964), where not said otherwise."""

ATOMIC_NUMBERS: Mapping[str, int] = {symbol: number for symbol, (number, _) in _ATOMS.items()}
"""By upper-case element symbol."""


def bondi_radii(elements: Sequence[str]) -> NDArray[np.float32]:
    """Radii (N,) in Å of atoms given by element symbol, in any case.

    Raises:
        InputError: an element without a Bondi radius.
    """
    symbols = [element.strip().upper() for element in elements]
    for index, symbol in enumerate(symbols):
        if symbol not in BONDI_RADII:
            known = ", ".join(key.capitalize() for key in BONDI_RADII)
            raise InputError(
                f"atom {index} has element {elements[index]!r}, but must have one of known radius: {known}"
            )
    return np.array([BONDI_RADII[symbol] for symbol in symbols], dtype=np.float32)
