"""HDF5 by h5py, which unpickles nothing: MDTraj's convention (nm), H5MD, and AMBER's (Å) in NetCDF 4, HDF5 inside."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from moedsr.structures.periodic_box import Box, cell_vectors, usable
from moedsr.structures.trajectories._base import LARGEST_FRAME, RawFrame, TrajectoryFile

_UNITS = {"nanometers": 10.0, "nanometer": 10.0, "nm": 10.0, "angstroms": 1.0, "angstrom": 1.0, "å": 1.0}


class HDF5File(TrajectoryFile):
    """Coordinates (frames, atoms, 3) in a file of datasets."""

    name = "an HDF5 trajectory"
    unit = "nanometers"  # where the file names none

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            self._file = h5py.File(path, "r")
            self._find()
            shape = tuple(self._coordinates.shape)
        except Exception as error:  # a damaged file leads the library anywhere
            raise self.unreadable(error) from error
        if len(shape) != 3 or shape[2] != 3 or not 0 < shape[1] <= LARGEST_FRAME:
            raise self.unreadable(f"its coordinates are of shape {shape}, but must be (frames, atoms, 3)")
        self.frames, self.atoms, self.cut = shape[0], shape[1], False
        self._scale = self._unit()

    def read(self, index: int) -> RawFrame:
        try:
            positions = np.asarray(self._coordinates[index], dtype=np.float64) * self._scale
            box = self._box(index)
        except Exception as error:
            raise self.unreadable(f"{error} (frame {index + 1})") from error
        return RawFrame(positions, usable(box))

    def close(self) -> None:
        self._file.close()

    def _find(self) -> None:
        """Coordinates and cells, in this convention or that of H5MD."""
        self._lengths, self._angles = (self._file.get(key) for key in ("cell_lengths", "cell_angles"))
        self._edges = None
        if "coordinates" in self._file or "particles" not in self._file:
            self._coordinates = self._file["coordinates"]
            return
        groups = [group for group in self._file["particles"].values() if "position" in group]
        if len(groups) != 1:
            raise ValueError(f"{len(groups)} of its groups of particles have positions, but one must")
        self._coordinates = groups[0]["position/value"]
        self._edges = groups[0].get("box/edges")

    def _box(self, index: int) -> Box | None:
        if self._edges is not None:
            edges = self._edges["value"][index] if isinstance(self._edges, h5py.Group) else self._edges[()]
            edges = np.asarray(edges, dtype=np.float64) * self._scale
            return np.diag(edges) if edges.ndim == 1 else edges
        if self._lengths is None or self._angles is None:
            return None
        return cell_vectors(np.asarray(self._lengths[index]) * self._scale, self._angles[index])

    def _unit(self) -> float:
        given: Any = self._coordinates.attrs.get("units", self._coordinates.attrs.get("unit", self.unit))
        name = given.decode("utf-8", "replace") if isinstance(given, bytes) else str(given)
        if name.lower() not in _UNITS:
            raise self.unreadable(f"its unit is `{name}`, but must be one of {', '.join(_UNITS)}")
        return _UNITS[name.lower()] * float(self._coordinates.attrs.get("scale_factor", 1.0))


class NetCDF4File(HDF5File):
    """A trajectory in AMBER's convention and in NetCDF 4."""

    name = "a NetCDF 4 trajectory"
    unit = "angstrom"
