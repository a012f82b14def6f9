"""Files of frames: one reader a format, all reading one frame at a time."""

from collections.abc import Callable, Mapping
from pathlib import Path

from moedsr.config_file import did_you_mean
from moedsr.errors import InputError
from moedsr.structures.topologies import suffix
from moedsr.structures.trajectories._base import RawFrame, TrajectoryFile
from moedsr.structures.trajectories.dcd import DCDFile
from moedsr.structures.trajectories.hdf5 import HDF5File
from moedsr.structures.trajectories.netcdf import open_netcdf
from moedsr.structures.trajectories.pdb_models import PDBModels
from moedsr.structures.trajectories.trr import TRRFile
from moedsr.structures.trajectories.xtc import XTCFile

__all__ = ["TRAJECTORIES", "RawFrame", "TrajectoryFile", "open_trajectory"]

TRAJECTORIES: Mapping[str, Callable[[Path], TrajectoryFile]] = {
    ".xtc": XTCFile,
    ".trr": TRRFile,
    ".dcd": DCDFile,
    ".nc": open_netcdf,
    ".ncdf": open_netcdf,
    ".netcdf": open_netcdf,
    ".h5": HDF5File,
    ".hdf5": HDF5File,
    ".h5md": HDF5File,
    ".pdb": PDBModels,
}
"""Reader by suffix."""


def open_trajectory(path: Path) -> TrajectoryFile:
    """An open trajectory with at least one whole frame.

    Raises:
        InputError: missing or unreadable file, a format that is not known, a damaged header, no frame.
    """
    if (reader := TRAJECTORIES.get(suffix(path))) is None:
        hint = did_you_mean(suffix(path), TRAJECTORIES)
        raise InputError(f"{path}: is of no known format{hint}; a trajectory is one of {', '.join(TRAJECTORIES)}")
    if path.suffix == ".gz" and reader is not PDBModels:
        raise InputError(f"{path}: is packed; of trajectories only PDB models are read so, unpack it")
    try:
        if path.stat().st_size == 0:
            raise InputError(f"{path}: holds no frame")
        file = reader(path)
    except FileNotFoundError:
        raise InputError(f"{path}: does not exist") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    if not file.frames:
        file.close()
        raise InputError(f"{path}: holds no {'whole ' if file.cut else ''}frame")
    return file
