"""Training batches from a surface store.

A batch is a pure function of the seed, the step and the configuration: it is the same whatever the number of
workers (each takes its slice) and whether or not the run was interrupted.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from moedsr.batches.batch import InitialDistances, ProteinBatch, TrainingBatch
from moedsr.batches.occupancy_points import OccupancyPoints
from moedsr.batches.off_surface import draw
from moedsr.batches.protein_input import ProteinInput, collate, collate_distances
from moedsr.batches.training_frames import trajectories
from moedsr.config import Config
from moedsr.errors import InputError
from moedsr.store.protein_file import StoredProtein
from moedsr.store.store import SurfaceStore


class BatchSampler:
    """Batches of random frames and points of the training proteins.

    Args:
        store: where the surfaces lie; read as needed, memory-mapped.
        config: what to sample.
        names: training proteins; what has a latent code, they or their replicas, is in their order.

    Attributes:
        trajectories: what is drawn from, in the order of the latent codes.

    Raises:
        InputError: no proteins, an unknown replica, or a batch that does not divide over the workers.
    """

    def __init__(self, store: SurfaceStore, config: Config, names: Sequence[str]) -> None:
        if not names:
            raise InputError(f"{store.path}: no protein to train on; the store's train split is empty")
        self.config = config
        proteins = [store.protein(name) for name in names]
        self.trajectories = trajectories(proteins, config)
        self._inputs: dict[str, ProteinInput] = {}  # each made when it is first drawn
        self._near = [OccupancyPoints(each.protein, each.frames) for each in self.trajectories]
        self._held: tuple[list[str], InitialDistances | None] = ([], None)
        bare = [each.protein.name for each in self.trajectories if len(each.frames) == 1]
        if bare and config.data.frames != 0 and config.data.replicas is not None:
            held = sorted({int(r) for r in proteins[0].replicas[1:]})
            raise InputError(
                f"data.replicas is {list(config.data.replicas)}, but {bare[0]} in {store.path} has replicas {held}"
            )

    def batch(self, step: int, *, rank: int = 0, workers: int = 1) -> TrainingBatch:
        """This worker's slice of the batch of one step."""
        training = self.config.training
        share = training.batch_size // workers
        places = range(rank * share, (rank + 1) * share)
        chosen = [self._trajectory_at(step * training.batch_size + place) for place in places]
        samples = [
            self._sample(index, np.random.default_rng([training.seed, step, place]))
            for index, place in zip(chosen, places, strict=True)
        ]
        time, surface, normals, off_surface, noise, keep, near, occupied, cost, unit = (
            torch.from_numpy(np.stack(column)) for column in zip(*samples, strict=True)
        )
        return TrainingBatch(
            proteins=self._collate(chosen),
            time=time,
            surface_points=surface,
            surface_normals=normals,
            off_surface_points=off_surface,
            occupancy_points=near,
            occupied=occupied,
            inside_cost=cost,
            occupancy_unit=unit,
            gate_noise=noise,
            keep_code=keep,
        )

    def _collate(self, chosen: list[int]) -> ProteinBatch:
        """A batch of proteins; grids, which are large, are put together again only when other proteins are drawn."""
        inputs = [self._input(self.trajectories[index].protein) for index in chosen]
        by_name = {each.name: each for each in inputs}
        held, grids = self._held
        if sorted(by_name) != held:
            held = sorted(by_name)
            grids = collate_distances([by_name[name].initial_distance for name in held])
            self._held = held, grids
        rows = grids and grids.rows([held.index(each.name) for each in inputs])
        return replace(
            collate([replace(each, initial_distance=None) for each in inputs], chosen), initial_distances=rows
        )

    def _input(self, protein: StoredProtein) -> ProteinInput:
        if protein.name not in self._inputs:
            self._inputs[protein.name] = ProteinInput.of(protein, self.config)
        return self._inputs[protein.name]

    def _trajectory_at(self, position: int) -> int:
        """Trajectory at a position of the endless stream of shuffled epochs."""
        count = len(self.trajectories)
        epoch, place = divmod(position, count)
        order = np.random.default_rng([self.config.training.seed, epoch, 1 << 20]).permutation(count)
        return int(order[place])

    def _sample(self, index: int, random: np.random.Generator) -> tuple[NDArray[np.float32], ...]:
        """Time (F,), surface points and normals (F, S, 3), off-surface points (F, Q, 3), gate noise, code mask,
        and what ``_near_surface`` gives."""
        training, trajectory = self.config.training, self.trajectories[index]
        protein = trajectory.protein
        frames = random.choice(
            trajectory.frames,
            training.frames_per_protein,
            replace=training.frames_per_protein > len(trajectory.frames),
        )
        parts = [
            draw(
                protein.frame(int(frame)),
                protein.scale,
                training.surface_points,
                training.global_fraction,
                random,
            )
            for frame in frames
        ]
        surface, normals, off_surface = (np.stack(column) for column in zip(*parts, strict=True))
        noise = random.standard_normal(self.config.expert.count, dtype=np.float32)
        keep = np.float32(random.random() >= training.latent_dropout)
        near, occupied, cost, unit = self._near_surface(index, frames, random)
        return (
            protein.times[frames].astype(np.float32),
            surface,
            normals,
            off_surface,
            noise,
            np.asarray(keep),
            near,
            occupied,
            np.asarray(cost),
            np.asarray(unit),
        )

    def _near_surface(
        self, index: int, frames: NDArray[np.int64], random: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], np.float32, np.float32]:
        """Occupancy points (F, V, 3), whether they are inside (F, V), and the protein's costs."""
        count, near = self.config.training.occupancy_points, self._near[index]
        if count == 0:
            empty = np.zeros((len(frames), 0), dtype=np.float32)
            return np.zeros((len(frames), 0, 3), dtype=np.float32), empty, np.float32(1), np.float32(1)
        points, occupied = zip(*(near.draw(int(frame), count, random) for frame in frames), strict=True)
        return np.stack(points), np.stack(occupied), near.inside_cost, near.unit
