"""Residue types of the chemical features (GeoAN): the twenty amino acids and X for any other."""

from collections.abc import Mapping

RESIDUE_TYPES: tuple[str, ...] = (*"ARNDCQEGHILKMFPSTWYV", "X")
"""One-letter codes; the position of a code is its index in the residue embedding."""

THREE_LETTER: Mapping[str, str] = {
    "ALA": "A",
    "ARG": "R",
    "ASN": "N",
    "ASP": "D",
    "CYS": "C",
    "GLN": "Q",
    "GLU": "E",
    "GLY": "G",
    "HIS": "H",
    "ILE": "I",
    "LEU": "L",
    "LYS": "K",
    "MET": "M",
    "PHE": "F",
    "PRO": "P",
    "SER": "S",
    "THR": "T",
    "TRP": "W",
    "TYR": "Y",
    "VAL": "V",
}

# Names of protonation states (force fields) and modifications (crystallographers); chemistry of the parent.
_PARENTS: Mapping[str, str] = {
    **dict.fromkeys(("HID", "HIE", "HIP", "HSD", "HSE", "HSP", "HISD", "HISE", "HISH"), "H"),
    **dict.fromkeys(("CYX", "CYM", "CYS2", "CYSH", "CSO", "CME", "CSD", "OCS", "SEC", "CSE", "CAS"), "C"),
    **dict.fromkeys(("ASH", "ASPP", "ASPH"), "D"),
    **dict.fromkeys(("GLH", "GLUP", "GLUH", "PCA", "CGU"), "E"),
    **dict.fromkeys(("LYN", "LSN", "LYSH", "MLY", "M3L", "MLZ", "ALY", "KCX"), "K"),
    **dict.fromkeys(("ARN", "ARGN"), "R"),
    **dict.fromkeys(("MSE", "FME", "SME"), "M"),
    **dict.fromkeys(("SEP", "SP1", "SP2"), "S"),
    **dict.fromkeys(("TPO", "THP1"), "T"),
    **dict.fromkeys(("PTR", "TYM", "TYS"), "Y"),
    **dict.fromkeys(("HYP",), "P"),
}

_BASES = ("A", "C", "G", "T", "U", "I")
_NUCLEOTIDES = frozenset(
    (*(f"{sugar}{base}{end}" for sugar in ("", "D", "R") for base in _BASES for end in ("", "3", "5")),)
) | {"ADE", "CYT", "GUA", "THY", "URA"}
"""As crystallographers and force fields write them; 3 and 5 stand for the ends of a strand."""

_INDEX = {letter: index for index, letter in enumerate(RESIDUE_TYPES)}


def one_letter(residue_name: str) -> str:
    """Code of a residue name as in a PDB file: its own, its parent's, or X."""
    name = residue_name.strip().upper()
    inner = name[1:] if len(name) == 4 and name[0] in "NC" else ""  # AMBER's names of a chain's ends: NLEU, CPHE
    return next((letters[n] for n in (name, inner) for letters in (THREE_LETTER, _PARENTS) if n in letters), "X")


def residue_type(residue_name: str) -> int:
    """Index of a residue name in :data:`RESIDUE_TYPES`."""
    return _INDEX[one_letter(residue_name)]


def is_amino_acid(residue_name: str) -> bool:
    """Whether the name is one of the twenty or a known variant of one."""
    return one_letter(residue_name) != "X"


def is_nucleotide(residue_name: str) -> bool:
    """Whether the name is one of RNA or DNA, as crystallographers and force fields write them."""
    return residue_name.strip().upper() in _NUCLEOTIDES
