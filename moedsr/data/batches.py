"""Training batches from a surface store.

A batch is a pure function of the seed, the step and the configuration: it is the same whatever the number of
workers (each takes its slice) and whether or not the run was interrupted.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from moedsr.batch import TrainingBatch
from moedsr.config import Config
from moedsr.data.off_surface import draw
from moedsr.data.protein_input import ProteinInput, collate
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
        time, surface, normals, off_surface, noise, keep = (
            torch.from_numpy(np.stack(column)) for column in zip(*samples, strict=True)
        )
        return TrainingBatch(
            proteins=collate([self._input(i) for i in chosen], chosen),
            time=time,
            surface_points=surface,
            surface_normals=normals,
            off_surface_points=off_surface,
            gate_noise=noise,
            keep_code=keep,
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
        """Time (F,), surface points and normals (F, S, 3), off-surface points (F, Q, 3), gate noise, code mask."""
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
        return (
            protein.times[frames].astype(np.float32),
            surface,
            normals,
            off_surface,
            noise,
            np.asarray(keep),
        )
