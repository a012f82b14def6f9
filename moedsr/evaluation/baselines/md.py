"""A short simulation from P0 in implicit solvent: what minutes of a CPU buy without any training."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from moedsr.errors import InputError
from moedsr.evaluation.baselines._base import BaselineSettings
from moedsr.evaluation.predictor import Predictor
from moedsr.evaluation.scored_surface import AtomSurface, Surface
from moedsr.evaluation.target import Target
from moedsr.files import make_folder, written_whole
from moedsr.geometry.surface import solvent_excluded_surface
from moedsr.structures.frame_plan import plan_frames
from moedsr.structures.radii import bondi_radii
from moedsr.structures.superpose import superpose
from moedsr.structures.trajectory import frame_count, load_structure, read_frames

REPLICAS, FRAMES, INTERVAL, EQUILIBRATION = 2, 16, 1.5, 6.0
"""Replicas, frames of each, ps between them and before the first: 60 ps in all."""


class ShortSimulation(Predictor):
    """Simulated once and kept in a folder; asked for only where the folder of structures is known."""

    name = "md"

    def __init__(self, settings: BaselineSettings) -> None:
        self._structures, self._kept = settings.structures, settings.simulations

    def fits(self, target: Target) -> bool:
        return self._structures is not None

    def surfaces(self, target: Target, frame: int) -> Iterator[Surface]:
        name, settings = target.protein.name, target.settings
        folder = self._simulated(name)
        structure = load_structure(folder / f"{name}.pdb")
        if len(structure.ca_index) != len(target.protein.ca_index):
            raise InputError(
                f"{folder}: was simulated with {len(structure.ca_index)} residues, but {name} has "
                f"{len(target.protein.ca_index)} in the store"
            )
        radii, ca = bondi_radii(structure.elements), target.protein.residue_positions
        paths = [folder / f"{name}_R{number}.xtc" for number in range(1, REPLICAS + 1)]
        plan = plan_frames([frame_count(path, structure) for path in paths], REPLICAS * FRAMES, "replica", name=name)
        for moment in read_frames(structure, paths, plan):
            rotation, shift = superpose(moment.positions[structure.ca_index], ca)
            atoms = moment.positions @ rotation.T + shift
            surface = solvent_excluded_surface(
                atoms,
                radii,
                probe_radius=settings.probe_radius,
                spacing=settings.grid_spacing,
                keep_cavities=settings.keep_cavities,
            )
            yield AtomSurface(surface, np.asarray(atoms[structure.ca_index]))

    def seconds(self, target: Target) -> float | None:
        """CPU seconds of the simulation."""
        record = self._record(target.protein.name)
        return float(json.loads(record.read_text())["cpu_seconds"]) if record.exists() else None

    def _record(self, name: str) -> Path:
        assert self._kept is not None
        return self._kept / f"{name}.cpu.json"

    def _simulated(self, name: str) -> Path:
        """The ensemble's folder, simulated now where it is not there yet."""
        assert self._structures is not None
        assert self._kept is not None
        folder = self._kept / name
        if folder.exists():
            return folder
        try:
            from moedsr.structures.simulation.engine import choose_engine
            from moedsr.structures.simulation.settings import SimulationSettings
            from moedsr.structures.simulation.simulate import simulate
        except ImportError as error:
            if error.name not in ("openmm", "pdbfixer"):
                raise
            raise InputError(f"{error.name} is missing; simulation needs it: pip install 'moedsr[md]'") from error
        structure = load_structure(self._structures / name / f"{name}.pdb")
        make_folder(self._kept)
        settings = SimulationSettings(replicas=REPLICAS, frames=FRAMES, interval=INTERVAL, equilibration=EQUILIBRATION)
        started = time.process_time()
        simulate(structure, name, self._kept, settings, choose_engine("cpu"))
        with written_whole(self._record(name)) as aside:
            aside.write_text(json.dumps({"cpu_seconds": time.process_time() - started}) + "\n")
        return folder
