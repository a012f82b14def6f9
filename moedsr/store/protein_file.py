"""One protein of a surface store: a safetensors file, written whole and read frame by frame.

F frames (the first is P0), N atoms, R residues, S surface points; Å about the centre of P0.

    centre (3,) f64, scale (1,) f64      frame of reference
    elements (N,) u8                     atomic numbers
    residue_of_atom (N,) i32
    ca_index (R,) i32, residue_types (R,) u8
    times (F,) f32, replicas (F,) i16
    atoms (F, N, 3) i16                  0.01 Å
    points (F, S, 3) i16, normals (F, S, 3) i8, sigma (F, S) f16: 11 bytes a point
    occupancy_runs (…) u16, occupancy_offsets (F+1,) i64: run lengths of the metric grid
"""

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from moedsr.config import PrepareConfig
from moedsr.errors import InputError
from moedsr.files import written_whole
from moedsr.store.conformation import SurfaceFrame
from moedsr.store.encoding import decode_normals, decode_occupancy, decode_positions
from moedsr.structures.radii import ATOMIC_NUMBERS
from moedsr.structures.residues import RESIDUE_TYPES

_SYMBOLS = {number: symbol.capitalize() for symbol, number in ATOMIC_NUMBERS.items() if symbol != "D"}
_NUMBERS = {symbol: number for number, symbol in _SYMBOLS.items()}
_METADATA = "protein"


class StoredProtein:
    """One protein, memory-mapped: nothing is read before it is asked for, one frame costs one frame."""

    def __init__(self, path: Path, name: str, split: str | None) -> None:
        self.path = path
        self.name = name
        self.split = split

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "name": self.name, "split": self.split}

    @property
    def sequence(self) -> str:
        """One letter a residue."""
        return str(self.metadata["sequence"])

    @cached_property
    def metadata(self) -> Mapping[str, Any]:
        """What the file says of itself: name, sequence, grid nodes, how it was made."""
        return read_metadata(self.path)

    @cached_property
    def scale(self) -> float:
        """Å per normalised unit: 1.25 times the radius of P0's surface about the centre."""
        return float(self._tensor("scale")[0])

    @cached_property
    def centre(self) -> NDArray[np.float64]:
        """(3,) Å in the PDB's coordinates: mean of P0's Cα."""
        return self._tensor("centre")

    @cached_property
    def times(self) -> NDArray[np.float32]:
        """(F,) in [-1, 1]; P0 at -1."""
        return self._tensor("times")

    @cached_property
    def replicas(self) -> NDArray[np.int64]:
        """(F,) from 1; P0 has 0."""
        return self._tensor("replicas").astype(np.int64)

    @cached_property
    def elements(self) -> tuple[str, ...]:
        """(N,) symbols."""
        numbers = self._tensor("elements").tolist()
        if foreign := set(numbers) - set(_SYMBOLS):
            raise self._damaged(f"tensor `elements` holds {min(foreign)}, which is no element of a protein")
        return tuple(_SYMBOLS[number] for number in numbers)

    @cached_property
    def atom_positions(self) -> NDArray[np.float32]:
        """(N, 3) Å about the centre, of P0."""
        return self.frame_atoms(0)

    @cached_property
    def residue_positions(self) -> NDArray[np.float32]:
        """(R, 3) Å about the centre, Cα of P0."""
        return self.frame_residues(0)

    @cached_property
    def ca_index(self) -> NDArray[np.int64]:
        """(R,) atoms that are Cα."""
        return self._indices("ca_index", len(self.elements))

    @cached_property
    def residue_of_atom(self) -> NDArray[np.int64]:
        """(N,) from 0."""
        return self._indices("residue_of_atom", len(self.ca_index))

    @property
    def span(self) -> float | None:
        """ns from the first to the last frame of the longest replica, where the trajectories knew."""
        return self.metadata["span"]

    @cached_property
    def residue_types(self) -> NDArray[np.int64]:
        """(R,) indices into RESIDUE_TYPES."""
        return self._indices("residue_types", len(RESIDUE_TYPES))

    def __len__(self) -> int:
        """Number of frames, P0 included."""
        return len(self.times)

    @property
    def initial_is_frame(self) -> bool:
        """Whether P0 is known to be the first frame of the first replica, and no crystal or minimised structure."""
        return bool(self.metadata.get("initial_is_frame", False))

    def frame(self, index: int) -> SurfaceFrame:
        """Surface samples of one frame; 0 is P0."""
        return SurfaceFrame(
            decode_positions(self._row("points", index)),
            decode_normals(self._row("normals", index)),
            self._row("sigma", index).astype(np.float32),
        )

    def occupancy(self, index: int) -> NDArray[np.bool_]:
        """Inside test (n, n, n) of one frame on the metric grid over [-1, 1]³ in normalised units."""
        start, end = (int(self._offsets[self._checked(index) + side]) for side in (0, 1))
        try:
            nodes = int(self.metadata["occupancy_grid"])
            runs = self._slice("occupancy_runs")[start:end]
        except (SafetensorError, ValueError, TypeError, KeyError, OverflowError) as error:
            raise self._damaged(error) from error
        if int(runs.sum(dtype=np.int64)) != nodes**3:
            raise self._damaged(f"the occupancy of frame {index} does not fill its grid")
        return decode_occupancy(runs, nodes)

    def frame_atoms(self, index: int) -> NDArray[np.float32]:
        """(N, 3) Å about the centre; the frame's surface was made from exactly these numbers."""
        return decode_positions(self._row("atoms", index))

    def frame_residues(self, index: int) -> NDArray[np.float32]:
        """(R, 3) Å about the centre, Cα of one frame."""
        return self.frame_atoms(index)[self.ca_index]

    def verify(self, settings: PrepareConfig) -> None:
        """Reads every tensor and checks shape and content.

        Raises:
            InputError: the first thing that is wrong.
        """
        frames = len(self)
        expected = {
            "points": (frames, settings.surface_points, 3),
            "normals": (frames, settings.surface_points, 3),
            "sigma": (frames, settings.surface_points),
            "atoms": (frames, len(self.elements), 3),
            "replicas": (frames,),
            "residue_of_atom": (len(self.elements),),
            "occupancy_offsets": (frames + 1,),
        }
        for key, shape in expected.items():
            if (found := tuple(self._slices[key].get_shape())) != shape:
                raise InputError(f"{self.path}: tensor `{key}` has shape {found}, but must have {shape}")
        if self.times[0] != -1 or self.replicas[0] != 0 or not (np.abs(self.times) <= 1).all():
            raise InputError(f"{self.path}: times must lie in [-1, 1] and begin with P0 at -1")
        nodes = settings.occupancy_grid**3
        for index in range(frames):
            frame = self.frame(index)
            runs = self._slices["occupancy_runs"][int(self._offsets[index]) : int(self._offsets[index + 1])]
            sound = np.isfinite(frame.normals).all() and (frame.sigma > 0).all() and int(runs.sum()) == nodes
            if not sound:
                raise InputError(f"{self.path}: frame {index} is damaged; prepare this protein again")

    @cached_property
    def _file(self) -> Any:
        return _open(self.path)

    @cached_property
    def _slices(self) -> dict[str, Any]:
        return {key: self._file.get_slice(key) for key in self._file.keys()}  # noqa: SIM118 - no mapping

    @cached_property
    def _offsets(self) -> NDArray[np.int64]:
        return self._tensor("occupancy_offsets")

    def _slice(self, key: str) -> Any:
        if key not in self._slices:
            raise self._damaged(f"it has no tensor `{key}`")
        return self._slices[key]

    def _tensor(self, key: str) -> NDArray[Any]:
        self._slice(key)
        try:
            return self._file.get_tensor(key)
        except (SafetensorError, ValueError, TypeError, MemoryError) as error:
            raise self._damaged(error) from error

    def _indices(self, key: str, count: int) -> NDArray[np.int64]:
        indices = self._tensor(key).astype(np.int64)
        if indices.size and not 0 <= indices.min() <= indices.max() < count:
            raise self._damaged(f"`{key}` leads beyond its {count} entries")
        return indices

    def _row(self, key: str, index: int) -> NDArray[Any]:
        place = self._checked(index)
        try:
            return self._slice(key)[place]
        except (SafetensorError, ValueError, TypeError, IndexError) as error:
            raise self._damaged(error) from error

    def _damaged(self, reason: object) -> InputError:
        words = str(reason).splitlines() or ["damaged"]
        return InputError(f"{self.path}: is damaged ({words[0]}); prepare this protein again")

    def _checked(self, index: int) -> int:
        if not 0 <= index < len(self.times):
            raise InputError(f"{self.name}: has no frame {index}; frames are 0 to {len(self.times) - 1}")
        return int(index)


def write_protein(path: Path, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]) -> None:
    """Writes a protein's file beside its name and renames it; the same content gives the same bytes."""
    # one metadata key: several come out in no fixed order
    content = save(dict(tensors), metadata={_METADATA: json.dumps(metadata, sort_keys=True)})
    with written_whole(path) as aside:
        aside.write_bytes(content)


def read_metadata(path: Path) -> dict[str, Any]:
    """The metadata that write_protein was given.

    Raises:
        InputError: missing, truncated or foreign file.
    """
    try:
        metadata = json.loads((_open(path).metadata() or {})[_METADATA])
    except (KeyError, ValueError) as error:
        raise InputError(f"{path}: is no protein of a surface store") from error
    return dict(metadata)


def atomic_numbers(elements: tuple[str, ...]) -> NDArray[np.uint8]:
    """(N,) from symbols."""
    return np.array([_NUMBERS[symbol] for symbol in elements], dtype=np.uint8)


def _open(path: Path) -> Any:
    try:
        return safe_open(path, framework="np")
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"{path}: cannot be read ({str(error).splitlines()[0]}); prepare this protein again"
        ) from error
