"""HDF5 in MDTraj's convention: nm and degrees. Read with h5py, which unpickles nothing."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from moedsr.data.periodic_box import cell_vectors, usable
from moedsr.data.trajectories._base import LARGEST_FRAME, RawFrame, TrajectoryFile

_UNITS = {"nanometers": 10.0, "nanometer": 10.0, "nm": 10.0, "angstroms": 1.0, "angstrom": 1.0}


class HDF5File(TrajectoryFile):
    """An HDF5 trajectory."""

    name = "an HDF5 trajectory"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            self._file = h5py.File(path, "r")
            self._coordinates = self._file["coordinates"]
            shape = tuple(self._coordinates.shape)
            units = self._coordinates.attrs.get("units", b"nanometers")
            self._lengths, self._angles = (self._file.get(key) for key in ("cell_lengths", "cell_angles"))
        except Exception as error:  # a damaged file leads the library anywhere
            raise self.unreadable(error) from error
        if len(shape) != 3 or shape[2] != 3 or not 0 < shape[1] <= LARGEST_FRAME:
            raise self.unreadable(f"its coordinates are of shape {shape}, but must be (frames, atoms, 3)")
        self.frames, self.atoms, self.cut = shape[0], shape[1], False
        self._scale = self._unit(units)

    def read(self, index: int) -> RawFrame:
        try:
            positions = np.asarray(self._coordinates[index], dtype=np.float64) * self._scale
            if self._lengths is None or self._angles is None:
                return RawFrame(positions, None)
            cell = cell_vectors(np.asarray(self._lengths[index]) * self._scale, self._angles[index])
        except Exception as error:
            raise self.unreadable(f"{error} (frame {index + 1})") from error
        return RawFrame(positions, usable(cell))

    def close(self) -> None:
        self._file.close()

    def _unit(self, units: Any) -> float:
        name = units.decode("latin-1") if isinstance(units, bytes) else str(units)
        if name not in _UNITS:
            raise self.unreadable(f"its unit is `{name}`, but must be one of {', '.join(_UNITS)}")
        return _UNITS[name]
