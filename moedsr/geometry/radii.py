"""Van der Waals radii of atoms."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from moedsr.errors import InputError

BONDI_RADII: Mapping[str, float] = {
    "H": 1.20,
    "D": 1.20,
    "C": 1.70,
    "N": 1.55,
    "O": 1.52,
    "F": 1.47,
    "NA": 2.27,
    "MG": 1.73,
    "P": 1.80,
    "S": 1.80,
    "CL": 1.75,
    "K": 2.75,
    "NI": 1.63,
    "CU": 1.40,
    "ZN": 1.39,
    "SE": 1.90,
    "BR": 1.85,
    "CD": 1.58,
    "I": 1.98,
    "HG": 1.55,
}
"""Å, by upper-case element symbol. A. Bondi, J. Phys. Chem. 68, 441 (1964)."""


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
