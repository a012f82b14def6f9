"""NetCDF (AMBER's convention): Å and degrees, in the classic format that SciPy reads, memory-mapped."""

from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import netcdf_file

from moedsr.structures.periodic_box import cell_vectors, usable
from moedsr.structures.trajectories._base import LARGEST_FRAME, RawFrame, TrajectoryFile
from moedsr.structures.trajectories.hdf5 import NetCDF4File


def open_netcdf(path: Path) -> TrajectoryFile:
    """A trajectory in the classic format or in NetCDF 4, which is HDF5 inside."""
    with path.open("rb") as file:
        return NetCDF4File(path) if file.read(4) == b"\x89HDF" else NetCDFFile(path)


class NetCDFFile(TrajectoryFile):
    """A NetCDF trajectory in the classic format."""

    name = "a NetCDF trajectory"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            # without a copy of its own, a view of the map would outlive the file
            self._file = netcdf_file(path, "r", mmap=True, maskandscale=False)
            coordinates = self._file.variables["coordinates"]
            self._coordinates, self._scale = coordinates.data, float(getattr(coordinates, "scale_factor", 1.0))
            self._lengths, self._angles = (self._optional(key) for key in ("cell_lengths", "cell_angles"))
        except Exception as error:  # a damaged file leads SciPy's reader anywhere
            raise self.unreadable(error if not isinstance(error, KeyError) else "it has no `coordinates`") from error
        shape = self._coordinates.shape
        if len(shape) != 3 or shape[2] != 3 or not 0 < shape[1] <= LARGEST_FRAME:
            raise self.unreadable(f"its coordinates are of shape {shape}, but must be (frames, atoms, 3)")
        self.frames, self.atoms, self.cut = shape[0], shape[1], False

    def read(self, index: int) -> RawFrame:
        try:
            positions = np.array(self._coordinates[index], dtype=np.float64) * self._scale
            if self._lengths is None or self._angles is None:
                return RawFrame(positions, None)
            cell = cell_vectors(self._lengths[index], self._angles[index])
        except (ValueError, TypeError, IndexError) as error:
            raise self.unreadable(f"{error} (frame {index + 1})") from error
        return RawFrame(positions, usable(cell))

    def close(self) -> None:
        # views of the map must go before it can be closed
        del self._coordinates, self._lengths, self._angles
        self._file.close()

    def _optional(self, key: str) -> Any:
        return self._file.variables[key].data if key in self._file.variables else None
