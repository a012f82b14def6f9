"""A PDB file of several models as a trajectory; the order of the models is taken for that of time."""

import gzip
import shutil
import tempfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from moedsr.structures.topologies._text import finite_position
from moedsr.structures.trajectories._base import RawFrame, TrajectoryFile


class PDBModels(TrajectoryFile):
    """The models of a PDB file, found once and then read by their place."""

    name = "a PDB file of models"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.atoms, self.cut = 0, False
        self._places: list[int] = []
        start, count, place = None, 0, 0
        self._file = self._unpacked() if path.suffix == ".gz" else path.open("rb")
        for line in self._file:
            kind = line[:6].rstrip()
            if kind in (b"ATOM", b"HETATM"):
                start = place if start is None else start
                count += 1
            elif kind in (b"ENDMDL", b"END") and start is not None:
                self._model(start, count)
                start, count = None, 0
            place += len(line)
        if start is not None and (count == self.atoms or not self._places):
            self._model(start, count)
        elif start is not None:
            self.cut = True
        self.frames = len(self._places)

    def read(self, index: int) -> RawFrame:
        self._file.seek(self._places[index])
        positions = np.empty((self.atoms, 3))
        done = 0
        while done < self.atoms:
            line = self._file.readline().decode("latin-1")
            if line[:6].rstrip() in ("ATOM", "HETATM"):
                columns = (line[30:38], line[38:46], line[46:54])
                where = f"{self.path}: frame {index + 1}, atom {done + 1}"
                positions[done] = finite_position(columns, where, f"`{line[30:54].strip()}`", "in columns 31-54")
                done += 1
        return RawFrame(positions, None)

    def close(self) -> None:
        self._file.close()

    def _unpacked(self) -> IO[bytes]:
        """A gzipped file as a nameless one on disk: models of a packed one cannot be read by their place."""
        plain = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the trajectory
        try:
            with gzip.open(self.path) as packed:
                shutil.copyfileobj(packed, plain)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            plain.close()
            raise self.unreadable(error) from error
        plain.seek(0)
        return plain

    def _model(self, start: int, count: int) -> None:
        if self._places and count != self.atoms:
            raise self.unreadable(
                f"model {len(self._places) + 1} has {count} atoms, but must have the {self.atoms} of the first"
            )
        self._places.append(start)
        self.atoms = count
