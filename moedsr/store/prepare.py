"""Ensembles to a surface store: each protein by itself, resumable, with the same bytes every time."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moedsr.config import PrepareConfig
from moedsr.config_file import did_you_mean
from moedsr.errors import InputError
from moedsr.files import cache_folder, make_folder
from moedsr.geometry.surface import SolventExcludedSurface
from moedsr.store.conformation import InitialConformation, SurfaceFrame, conformation_surface, sample_surface
from moedsr.store.encoding import encode_normals, encode_occupancy, encode_positions, round_positions
from moedsr.store.protein_file import StoredProtein, atomic_numbers, read_metadata, write_protein
from moedsr.store.store import SurfaceStore
from moedsr.store.store_index import (
    FORMAT_VERSION,
    ProteinEntry,
    checksum,
    protein_path,
    require_same_settings,
    stored_settings,
    write_index,
)
from moedsr.store.stored_split import with_saved_split
from moedsr.structures.ensemble import Ensemble, find_ensembles
from moedsr.structures.frame_plan import PlannedFrame, plan_frames
from moedsr.structures.structure import Structure
from moedsr.structures.trajectory import frame_count, initial_structure, read_frames, time_span

logger = logging.getLogger(__name__)

_SAME = 0.05  # Å; trajectories are rounded to 0.01

Progress = Callable[[int, int], None]
"""Told the frames done and the frames in all."""


def prepare_protein(
    ensemble: Ensemble,
    settings: PrepareConfig,
    folder: Path,
    split: str | None = None,
    *,
    progress: Progress | None = None,
) -> ProteinEntry:
    """Writes ``{name}.safetensors``; a finished file of the same settings and trajectories is kept as it is.

    Args:
        ensemble: P0 and its trajectories.
        settings: of the whole store.
        folder: the store's, made when missing.
        split: train, val or test; default: the ensemble's own.
        progress: called after each frame.

    Raises:
        InputError: whatever is wrong with the files; nothing is left behind then.
    """
    path = protein_path(folder, ensemble.name)
    made_from = _provenance(ensemble, settings)
    if path.exists() and _is_same(path, made_from):
        logger.info("%s: already prepared", ensemble.name)
    else:
        tensors, metadata = _build(ensemble, settings, progress)
        make_folder(folder)
        write_protein(path, tensors, {**metadata, "made_from": made_from})
    return _entry(path, ensemble, split or ensemble.split)


def start_store(folder: Path, settings: PrepareConfig) -> float:
    """Makes the folder, and says when: what was being written before then is no one's any more.

    Raises:
        InputError: a finished store of other settings lies there, or the folder cannot be made.
    """
    if (held := stored_settings(folder)) is not None:
        require_same_settings(folder, held, settings)
    make_folder(folder)
    return time.time()


def finish_store(
    folder: Path,
    settings: PrepareConfig,
    entries: Iterable[ProteinEntry],
    set_aside: Mapping[str, str] | None = None,
    *,
    started: float = 0.0,
) -> SurfaceStore:
    """Writes the table and the manifest, and opens the finished store.

    Args:
        folder: the store's.
        settings: of all proteins.
        entries: the proteins.
        set_aside: names and reasons of those that could not be prepared; the manifest keeps them.
        started: as start_store said; half-written files of before, of processes that were killed, are removed.

    Raises:
        InputError: no proteins, or a finished store of other settings lies there.
    """
    rows = with_saved_split(folder, entries)
    if not rows:
        raise InputError(f"{folder}: a store needs at least one protein")
    if (held := stored_settings(folder)) is not None:
        require_same_settings(folder, held, settings)
    write_index(folder, settings, rows, set_aside or {})
    for left in folder.glob(".*.tmp"):
        if left.stat().st_mtime < started:
            left.unlink(missing_ok=True)
    return SurfaceStore.open(folder, settings)


def prepare_serially(
    source: str | Path, settings: PrepareConfig, folder: Path, names: Iterable[str] | None = None
) -> SurfaceStore:
    """A whole store in this process: all ensembles of a source, or those named.

    Raises:
        InputError: as find_ensembles and prepare_protein; a name that the source lacks.
    """
    found = {ensemble.name: ensemble for ensemble in find_ensembles(source)}
    wanted = list(found) if names is None else list(names)
    if unknown := [name for name in wanted if name not in found]:
        raise InputError(f"{source}: has no protein `{unknown[0]}`{did_you_mean(unknown[0], found)}")
    started = start_store(folder, settings)
    entries = [prepare_protein(found[name], settings, folder) for name in wanted]
    return finish_store(folder, settings, entries, started=started)


def default_store_path(source: str | Path, settings: PrepareConfig) -> Path:
    """Folder in the user's cache, named by what the store will hold: trajectories, splits and settings.

    The cache is ``$MOEDSR_CACHE``, else ``~/.cache/moedsr``.

    Raises:
        InputError: as find_ensembles.
    """
    state = sha256(settings.model_dump_json().encode() + str(FORMAT_VERSION).encode())
    for ensemble in find_ensembles(source, {}):
        state.update(f"{ensemble.digest()}{ensemble.split}".encode())
    return cache_folder() / "stores" / f"{Path(source).absolute().stem}-{state.hexdigest()[:12]}"


def _build(
    ensemble: Ensemble, settings: PrepareConfig, progress: Progress | None
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    loaded = initial_structure(ensemble.topology, ensemble.trajectories, settings.chains, settings.ligands)
    initial = InitialConformation.of(loaded, settings, ensemble.name)
    structure = initial.structure
    kept = settings.keep_truncated
    counts = [frame_count(path, structure, keep_truncated=kept) for path in ensemble.trajectories]
    plan = plan_frames(counts, settings.frames, settings.time_mode, name=ensemble.name)
    rows = [_encode(initial, settings, initial.atom_positions, initial.surface, initial.frame)]
    for number, frame in enumerate(read_frames(structure, ensemble.trajectories, plan), start=1):
        atoms = round_positions(frame.positions - initial.centre, f"{ensemble.name}: frame {number}")
        surface = conformation_surface(atoms, structure, settings)
        samples = sample_surface(surface, surface.mesh(), settings.surface_points, ensemble.name, number)
        rows.append(_encode(initial, settings, atoms, surface, samples))
        if progress is not None:
            progress(number, len(plan))
    runs = [row.pop("occupancy_runs") for row in rows]
    tensors = {
        "centre": initial.centre,
        "scale": np.array([initial.scale]),
        "elements": atomic_numbers(structure.elements),
        "ca_index": structure.ca_index.astype(np.int32),
        "residue_of_atom": structure.residue_of_atom.astype(np.int32),
        "residue_types": structure.residue_types.astype(np.uint8),
        "times": np.array([-1.0, *(frame.time for frame in plan)], dtype=np.float32),
        "replicas": np.array([0, *(frame.replica for frame in plan)], dtype=np.int16),
        "occupancy_runs": np.concatenate(runs),
        "occupancy_offsets": np.cumsum([0, *(len(run) for run in runs)], dtype=np.int64),
        **{key: np.stack([row[key] for row in rows]) for key in rows[0]},
    }
    metadata = {
        "name": ensemble.name,
        "sequence": structure.sequence,
        "hydrogens": structure.hydrogens,
        "occupancy_grid": settings.occupancy_grid,
        "replicas": len(counts),
        "initial_is_frame": _is_first_frame(structure, ensemble),
        "span": time_span(ensemble.trajectories),
    }
    return tensors, metadata


def _is_first_frame(structure: Structure, ensemble: Ensemble) -> bool:
    """Whether P0 is where the first replica starts: a draw of the dynamics, and no crystal or minimised structure."""
    first = next(read_frames(structure, ensemble.trajectories[:1], [PlannedFrame(replica=1, index=0, time=-1.0)]))
    return bool(np.abs(first.positions - structure.positions).max() < _SAME)


def _encode(
    initial: InitialConformation,
    settings: PrepareConfig,
    atoms: NDArray[np.float32],
    surface: SolventExcludedSurface,
    samples: SurfaceFrame,
) -> dict[str, NDArray[Any]]:
    where = f"{initial.name}: a surface"
    occupancy = surface.occupancy(np.zeros(3), initial.scale, settings.occupancy_grid)
    return {
        "atoms": encode_positions(atoms, where),
        "points": encode_positions(samples.points, where),
        "normals": encode_normals(samples.normals),
        "sigma": samples.sigma.astype(np.float16),
        "occupancy_runs": encode_occupancy(occupancy),
    }


def _provenance(ensemble: Ensemble, settings: PrepareConfig) -> dict[str, Any]:
    return {
        "format_version": FORMAT_VERSION,
        "settings": settings.model_dump(mode="json"),
        "input": ensemble.digest(),
    }


def _is_same(path: Path, made_from: dict[str, Any]) -> bool:
    try:
        return read_metadata(path).get("made_from") == made_from
    except InputError:
        return False  # a damaged file is made again


def _entry(path: Path, ensemble: Ensemble, split: str | None) -> ProteinEntry:
    protein = StoredProtein(path, ensemble.name, split)
    return ProteinEntry(
        name=ensemble.name,
        split=split,
        sequence=protein.sequence,
        residues=len(protein.residue_types),
        atoms=len(protein.elements),
        frames=len(protein),
        replicas=int(protein.metadata["replicas"]),
        scale=protein.scale,
        centre=(float(protein.centre[0]), float(protein.centre[1]), float(protein.centre[2])),
        size=path.stat().st_size,
        checksum=checksum(path),
    )
