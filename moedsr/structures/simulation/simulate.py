"""A simulated ensemble in ATLAS layout: P0 and its replicas, complete or not there at all.

While it is under way it lies in ``OUT/.ID.partial``, which a killed simulation leaves behind and the same
simulation goes on with; finished, that folder becomes ``OUT/ID``.
"""

import json
import logging
import os
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import openmm

from moedsr.errors import InputError
from moedsr.structures.folder_lock import alone_in
from moedsr.structures.simulation.engine import Engine
from moedsr.structures.simulation.replica import Replica
from moedsr.structures.simulation.settings import SimulationSettings
from moedsr.structures.simulation.system import complete_protein, load_p0
from moedsr.structures.structure import Structure

logger = logging.getLogger(__name__)


class Progress(Protocol):
    """Told the frames of a replica that are done, after each; ``before`` where an earlier process had done them."""

    def __call__(self, replica: int, frames: int, *, before: bool = False) -> None: ...


def _tell_nobody(replica: int, frames: int, *, before: bool = False) -> None: ...


def simulate(
    structure: Structure,
    name: str,
    out: Path,
    settings: SimulationSettings,
    engine: Engine,
    progress: Progress = _tell_nobody,
) -> Path:
    """Simulates a protein, or what is left of it; the folder of the finished ensemble.

    Args:
        structure: a single protein chain.
        name: of the ensemble.
        out: holds the ensemble's folder.
        settings: what to simulate.
        engine: where.
        progress: called after each frame.

    Raises:
        InputError: a residue that the force field does not know; an ensemble of other settings or of another
            structure lies there already; the folder cannot be written.
        JobError: the molecule flew apart; another process simulates it already.
    """
    folder, partial = out / name, out / f".{name}.partial"
    order = {"name": name, "structure": _fingerprint(structure), **settings.model_dump(mode="json")}
    if folder.exists():
        _require_same(folder / f"{name}.json", order)
        return folder
    try:
        partial.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror}") from error
    with alone_in(partial):
        _begin(partial, order, structure, settings)
        p0 = load_p0(partial / f"{name}.pdb", settings)
        for number in range(1, settings.replicas + 1):
            _simulate_replica(
                partial / f"{name}_R{number}.xtc", Replica(number, partial, settings, p0), engine, progress
            )
        partial.rename(folder)
    return folder


def _simulate_replica(path: Path, replica: Replica, engine: Engine, progress: Progress) -> None:
    if path.exists():
        replica.remove_state()
        progress(replica.number, replica.settings.frames, before=True)
        return
    progress(replica.number, replica.frames_done(), before=True)
    replica.run(engine, lambda frames: progress(replica.number, frames))
    replica.write_xtc(path)
    replica.remove_state()


def _begin(partial: Path, order: dict[str, Any], structure: Structure, settings: SimulationSettings) -> None:
    """P0 and, after it, what is being simulated; both are kept where they are there."""
    p0, description = (partial / f"{order['name']}{ending}" for ending in (".pdb", ".json"))
    if description.exists():
        _require_same(description, order)
        return
    _write_whole(p0, complete_protein(structure, settings))
    content = {
        **order,
        "input": structure.path.name,
        "residues": len(structure.residue_names),
        "force_field": "amber14-all + OBC2 (GBSAOBCForce)",
        "engine": f"OpenMM {openmm.version.version}",
    }
    _write_whole(description, json.dumps(content, indent=1) + "\n")


def _require_same(path: Path, order: dict[str, Any]) -> None:
    """Raises InputError, naming the first difference, unless a file holds this order."""
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path.parent}: holds something else than a simulation of moedsr; remove it") from error
    for key, asked in order.items():
        if held.get(key) != asked:
            raise InputError(
                f"{path.parent}: was simulated with {key} {held.get(key)}, but {asked} is wanted; "
                "take that, another `--id`, or remove the folder"
            )


def _fingerprint(structure: Structure) -> str:
    """Of what the simulation depends on: atoms, residues and positions, wherever the file lies."""
    state = sha256(repr((structure.atom_names, structure.residue_names)).encode())
    state.update(structure.positions.round(3).tobytes())
    return state.hexdigest()[:16]


def _write_whole(path: Path, text: str) -> None:
    aside = path.with_name(f".{path.name}")
    with aside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
