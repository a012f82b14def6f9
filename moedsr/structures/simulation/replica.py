"""One replica: Langevin dynamics that can be killed at any moment and goes on where it last saved.

``R{n}.frames`` holds the kept frames so far, ``R{n}.state.npz`` the molecule after them. A state is written
only after its frames; what stands behind a state's frames is cut off when the replica goes on.
"""

import errno
import os
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import openmm
from mdtraj.formats import XTCTrajectoryFile
from numpy.typing import NDArray
from openmm import unit

from moedsr.errors import JobError
from moedsr.structures.simulation.engine import Engine
from moedsr.structures.simulation.settings import FEMTOSECONDS, SimulationSettings
from moedsr.structures.superpose import superpose

Advance = Callable[[int], None]
"""Told the frames of a replica that are done, after each."""

SECONDS_BETWEEN_STATES = 10.0
_STEPS_AT_ONCE = 250  # so that a state can be saved between frames that lie far apart
_NM = 10.0  # Å


class Replica:
    """One of the simulations of an ensemble. N atoms."""

    def __init__(
        self,
        number: int,
        folder: Path,
        settings: SimulationSettings,
        p0: tuple[openmm.System, NDArray[np.float64], list[int]],
    ) -> None:
        """
        Args:
            number: from 1.
            folder: where it keeps its state.
            settings: of the ensemble.
            p0: system, positions (N, 3) in Å, Cα indices.
        """
        self.number = number
        self.settings = settings
        self.system, self.positions, self.ca = p0
        self._frames = folder / f"R{number}.frames"
        self._state = folder / f"R{number}.state.npz"

    def run(self, engine: Engine, advance: Advance) -> None:
        """Simulates what is left to do.

        Raises:
            JobError: the molecule flew apart.
        """
        integrator = openmm.LangevinMiddleIntegrator(
            self.settings.temperature, self.settings.friction, self.settings.timestep / FEMTOSECONDS
        )
        integrator.setRandomNumberSeed(self._seed("thermostat"))
        context = engine.context(self.system, integrator)
        done = self._restore(context)
        saved = time.monotonic()
        with self._frames.open("ab") as file:
            while done < self.settings.steps_per_replica:
                steps = self._until_next_stop(done)
                self._step(integrator, steps, done)
                done += steps
                if self._is_frame(done):
                    file.write(self._frame(context).tobytes())
                    advance(self._frames_after(done))
                if done == self.settings.steps_per_replica or time.monotonic() - saved > SECONDS_BETWEEN_STATES:
                    file.flush()
                    os.fsync(file.fileno())
                    self._save(context, done)
                    saved = time.monotonic()

    def write_xtc(self, path: Path) -> None:
        """The kept frames, in nm and ps from the first step after equilibration on, whole or not at all.

        Raises:
            OSError: no space left.
        """
        shape = (self.settings.frames, len(self.positions), 3)
        frames = np.memmap(self._frames, dtype=np.float32, mode="r", shape=shape)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            name = str(path.with_name(f".R{self.number}.xtc"))
            if not name.isascii():  # MDTraj takes no other
                name = f"/proc/self/fd/{folder}/.R{self.number}.xtc"
            with XTCTrajectoryFile(name, "w", force_overwrite=True) as file:
                for index, positions in enumerate(frames, start=1):
                    file.write(
                        np.ascontiguousarray(positions)[None] / np.float32(_NM),
                        time=np.array([index * self.settings.interval], dtype=np.float32),
                        step=np.array([index * self.settings.steps_between_frames], dtype=np.int32),
                    )
            with XTCTrajectoryFile(name) as file:  # a full disk does not stop its writer
                if len(file) != self.settings.frames:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            Path(name).replace(path)
        finally:
            os.close(folder)

    def frames_done(self) -> int:
        """Frames of the last state."""
        if not self._state.exists():
            return 0
        with np.load(self._state) as held:
            return self._frames_after(int(held["steps"]))

    def remove_state(self) -> None:
        """Removes everything but what ``write_xtc`` wrote."""
        for path in (self._frames, self._state):
            path.unlink(missing_ok=True)

    def _restore(self, context: openmm.Context) -> int:
        """The last state, or P0 with velocities drawn; the steps behind it."""
        if not self._state.exists():
            self._frames.write_bytes(b"")
            context.setPositions(self.positions / _NM)
            context.setVelocitiesToTemperature(self.settings.temperature, self._seed("velocities"))
            return 0
        with np.load(self._state) as held:
            try:
                context.loadCheckpoint(held["checkpoint"].tobytes())  # with the state of the random numbers
            except openmm.OpenMMException:  # of another platform or machine
                context.setPositions(held["positions"])
                context.setVelocities(held["velocities"])
            steps = int(held["steps"])
        os.truncate(self._frames, self._frames_after(steps) * self.positions.size * np.dtype(np.float32).itemsize)
        return steps

    def _save(self, context: openmm.Context, done: int) -> None:
        state = context.getState(getPositions=True, getVelocities=True)
        aside = self._state.with_suffix(".tmp")
        with aside.open("wb") as file:
            np.savez(
                file,
                steps=done,
                positions=state.getPositions(asNumpy=True).value_in_unit(unit.nanometer),
                velocities=state.getVelocities(asNumpy=True).value_in_unit(unit.nanometer / unit.picosecond),
                checkpoint=np.frombuffer(context.createCheckpoint(), dtype=np.uint8),
            )
            file.flush()
            os.fsync(file.fileno())
        aside.replace(self._state)

    def _step(self, integrator: openmm.Integrator, steps: int, done: int) -> None:
        try:
            integrator.step(steps)
        except openmm.OpenMMException as error:
            raise JobError(
                f"replica R{self.number} flew apart after {done * self.settings.timestep / FEMTOSECONDS:.1f} ps "
                f"({error}); simulate with `--timestep 2`, or begin from a better structure"
            ) from error

    def _frame(self, context: openmm.Context) -> NDArray[np.float32]:
        """Positions (N, 3) in Å, superposed on P0 by Cα."""
        held = context.getState(getPositions=True).getPositions(asNumpy=True)
        positions = np.asarray(held.value_in_unit(unit.nanometer), dtype=np.float64) * _NM
        rotation, translation = superpose(positions[self.ca], self.positions[self.ca])
        return (positions @ rotation.T + translation).astype(np.float32)

    def _until_next_stop(self, done: int) -> int:
        if done < self.settings.equilibration_steps:
            left = self.settings.equilibration_steps - done
        else:
            between = self.settings.steps_between_frames
            left = between - (done - self.settings.equilibration_steps) % between
        return min(left, _STEPS_AT_ONCE)

    def _is_frame(self, done: int) -> bool:
        kept = done - self.settings.equilibration_steps
        return kept > 0 and kept % self.settings.steps_between_frames == 0

    def _frames_after(self, steps: int) -> int:
        return max(0, steps - self.settings.equilibration_steps) // self.settings.steps_between_frames

    def _seed(self, purpose: str) -> int:
        """A positive 31-bit seed for each replica and purpose; OpenMM takes 0 for any seed."""
        text = f"{self.settings.seed} {self.number} {purpose}"
        return int.from_bytes(sha256(text.encode()).digest()[:4]) % (2**31 - 1) + 1
