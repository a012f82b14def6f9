"""Files that name the atoms of a molecule: one reader a format, all giving the same records."""

from collections.abc import Callable, Mapping
from pathlib import Path

from moedsr.config_file import did_you_mean
from moedsr.errors import InputError
from moedsr.structures.topologies._record import AtomRecord, Topology
from moedsr.structures.topologies._text import read_text
from moedsr.structures.topologies.gro import read_gro
from moedsr.structures.topologies.mmcif import read_mmcif
from moedsr.structures.topologies.pdb import read_pdb
from moedsr.structures.topologies.psf import read_psf

__all__ = ["TOPOLOGIES", "AtomRecord", "Topology", "read_topology", "stem", "suffix"]

TOPOLOGIES: Mapping[str, Callable[[Path, str], Topology]] = {
    ".pdb": read_pdb,
    ".ent": read_pdb,
    ".cif": read_mmcif,
    ".mmcif": read_mmcif,
    ".gro": read_gro,
    ".psf": read_psf,
}
"""Reader by suffix, the ones preferred first; each may be gzipped (``.pdb.gz``)."""


def suffix(path: Path) -> str:
    """The suffix that tells the format: of ``a.PDB.gz``, ``.pdb``."""
    return Path(path.stem if path.suffix == ".gz" else path.name).suffix.lower()


def stem(path: Path) -> str:
    """The name without that suffix: of ``a.pdb.gz``, ``a``."""
    return Path(path.stem if path.suffix == ".gz" else path.name).stem


def read_topology(path: Path) -> Topology:
    """All atoms of the first model.

    Raises:
        InputError: a format that is not known, and as the readers.
    """
    reader = TOPOLOGIES.get(suffix(path))
    if reader is None and path.is_file():
        raise InputError(
            f"{path}: is of no known format{did_you_mean(suffix(path), TOPOLOGIES)}; a structure is one of "
            f"{', '.join(TOPOLOGIES)}, gzipped or not"
        )
    return (reader or read_pdb)(path, read_text(path))
