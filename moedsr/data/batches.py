"""Training batches from a surface store.

A batch is a pure function of the seed, the step and the configuration: it is the same whatever the number of
workers (each takes its slice) and whether or not the run was interrupted.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from moedsr.batch import InitialDistances, ProteinBatch, TrainingBatch
from moedsr.config import Config
from moedsr.data.occupancy_points import OccupancyPoints
from moedsr.data.off_surface import draw
from moedsr.data.protein_input import ProteinInput, collate, collate_distances
from moedsr.data.store import StoredProtein, SurfaceStore
from moedsr.errors import InputError


def training_frames(protein: StoredProtein, config: Config) -> list[int]:
    """Indices of the frames to train on: P0 first, then those of the wanted replicas, evenly spread."""
    wanted = config.data.replicas
    available = [i for i in range(1, len(protein.times)) if wanted is None or int(protein.replicas[i]) in wanted]
    return [0, *spread(available, config.data.frames)]


def spread(items: Sequence[int], count: int | None) -> list[int]:
    """``count`` of the items, evenly spread, the last always among them; all when there are fewer."""
    if count is None or count >= len(items):
        return list(items)
    return [items[(k + 1) * len(items) // count - 1] for k in range(count)]


class BatchSampler:
    """Batches of random frames and points of the training proteins.

    Args:
        store: where the surfaces lie; read as needed, memory-mapped.
        config: what to sample.
        names: training proteins; their order is that of the latent codes.

    Raises:
        InputError: no proteins, an unknown replica, or a batch that does not divide over the workers.
    """

    def __init__(self, store: SurfaceStore, config: Config, names: Sequence[str]) -> None:
        if not names:
            raise InputError(f"{store.path}: no protein to train on; the store's train split is empty")
        self.config = config
        self._proteins = [store.protein(name) for name in names]
        self._inputs: dict[int, ProteinInput] = {}  # each made when it is first drawn
        self._frames = [training_frames(p, config) for p in self._proteins]
        self._near = [OccupancyPoints(p, f) for p, f in zip(self._proteins, self._frames, strict=True)]
        self._held: tuple[list[int], InitialDistances | None] = ([], None)
        bare = [p.name for p, frames in zip(self._proteins, self._frames, strict=True) if len(frames) == 1]
        if bare and config.data.frames != 0 and config.data.replicas is not None:
            held = sorted({int(r) for r in self._proteins[0].replicas[1:]})
            raise InputError(
                f"data.replicas is {list(config.data.replicas)}, but {bare[0]} in {store.path} has replicas {held}"
            )

    def batch(self, step: int, *, rank: int = 0, workers: int = 1) -> TrainingBatch:
        """This worker's slice of the batch of one step."""
        training = self.config.training
        share = training.batch_size // workers
        places = range(rank * share, (rank + 1) * share)
        chosen = [self._protein_at(step * training.batch_size + place) for place in places]
        samples = [
            self._sample(protein, np.random.default_rng([training.seed, step, place]))
            for protein, place in zip(chosen, places, strict=True)
        ]
        time, surface, normals, off_surface, noise, keep, near, occupied, unit = (
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
            occupancy_unit=unit,
            gate_noise=noise,
            keep_code=keep,
        )

    def _collate(self, chosen: list[int]) -> ProteinBatch:
        """A batch of proteins; grids, which are large, are put together again only when other proteins are drawn."""
        inputs = [self._input(index) for index in chosen]
        held, grids = self._held
        if sorted(set(chosen)) != held:
            held = sorted(set(chosen))
            grids = collate_distances([self._input(index).initial_distance for index in held])
            self._held = held, grids
        rows = grids and grids.rows([held.index(index) for index in chosen])
        return replace(
            collate([replace(each, initial_distance=None) for each in inputs], chosen), initial_distances=rows
        )

    def _input(self, index: int) -> ProteinInput:
        if index not in self._inputs:
            self._inputs[index] = ProteinInput.of(self._proteins[index], self.config)
        return self._inputs[index]

    def _protein_at(self, position: int) -> int:
        """Protein at a position of the endless stream of shuffled epochs."""
        epoch, place = divmod(position, len(self._proteins))
        order = np.random.default_rng([self.config.training.seed, epoch, 1 << 20]).permutation(len(self._proteins))
        return int(order[place])

    def _sample(self, index: int, random: np.random.Generator) -> tuple[NDArray[np.float32], ...]:
        """Time (F,), surface points and normals (F, S, 3), off-surface points (F, Q, 3), gate noise, code mask,
        and what ``_near_surface`` gives."""
        training, protein = self.config.training, self._proteins[index]
        frames = random.choice(
            self._frames[index],
            training.frames_per_protein,
            replace=training.frames_per_protein > len(self._frames[index]),
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
        near, occupied, unit = self._near_surface(index, frames, random)
        return (
            protein.times[frames].astype(np.float32),
            surface,
            normals,
            off_surface,
            noise,
            np.asarray(keep),
            near,
            occupied,
            np.asarray(unit),
        )

    def _near_surface(
        self, index: int, frames: NDArray[np.int64], random: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], np.float32]:
        """Occupancy points (F, V, 3), whether they are inside (F, V), and the protein's unit."""
        count, near = self.config.training.occupancy_points, self._near[index]
        if count == 0:
            empty = np.zeros((len(frames), 0), dtype=np.float32)
            return np.zeros((len(frames), 0, 3), dtype=np.float32), empty, np.float32(1)
        points, occupied = zip(*(near.draw(int(frame), count, random) for frame in frames), strict=True)
        return np.stack(points), np.stack(occupied), near.unit
