"""Model, optimiser and batches of one worker."""

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from moedsr.batches.batches import BatchSampler
from moedsr.batches.prefetch import PrefetchedBatches
from moedsr.config import Config
from moedsr.device import resolve_device
from moedsr.errors import InputError
from moedsr.models.moedsr import MoEDSR, Prediction
from moedsr.source_version import git_commit
from moedsr.store.store import SurfaceStore
from moedsr.training import distributed
from moedsr.training.checkpoint import (
    Meta,
    load_config,
    load_meta,
    load_training,
    load_weights,
    save_checkpoint,
)
from moedsr.training.losses import training_losses
from moedsr.training.optimisation import make_optimiser, set_learning_rate, update_average
from moedsr.training.routing import routing_load


class Trainer:
    """Takes optimiser steps, saves and resumes.

    Attributes:
        step: optimiser steps taken.
        proteins: names of the proteins trained on.
        codes: row of the latent code table by name, which is the protein's, or with the replica's number behind it.
        average: the model with the running mean of the weights, the one that is evaluated.
    """

    def __init__(self, config: Config, store: SurfaceStore, device: str = "auto") -> None:
        workers, batch = distributed.world_size(), config.training.batch_size
        if batch % workers:
            raise InputError(
                f"training.batch_size is {batch}, but must be a multiple of the {workers} workers; "
                f"nearest: {max(round(batch / workers), 1) * workers}"
            )
        self.config, self.store = config, store
        self.device = resolve_device(device)
        self.proteins = training_proteins(config, store)
        sampler = BatchSampler(store, config, self.proteins)
        self.codes = {trajectory.code: row for row, trajectory in enumerate(sampler.trajectories)}
        self.batches = PrefetchedBatches(sampler, rank=distributed.rank(), workers=workers)
        self.step = 0
        torch.manual_seed(config.training.seed)
        self.model = MoEDSR(config, len(self.codes)).to(self.device)
        self.average = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.optimiser = make_optimiser(self.model, config.training)
        self._parallel: Callable[[Any], Prediction] = (
            DistributedDataParallel(self.model, forward_sync_buffers=False) if workers > 1 else self.model
        )

    def take_step(self) -> tuple[Tensor, Tensor]:
        """One optimiser step.

        Returns:
            loss terms (8,) in the order of LOSS_NAMES, and this worker's routing load (2, N_E).
        """
        training = self.config.training
        batch = self.batches.batch(self.step).to(self.device)
        set_learning_rate(self.optimiser, self.step, training)
        prediction = self._parallel(batch)
        losses = training_losses(prediction, batch, self.config.loss)
        self.optimiser.zero_grad(set_to_none=True)
        losses.total.backward()
        if training.gradient_clip is not None:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), training.gradient_clip)
        self.optimiser.step()
        update_average(self.average, self.model, self.step, training.ema_decay)
        self.step += 1
        return losses.stacked(), routing_load(prediction.context.gates)

    def save(
        self,
        folder: Path,
        metrics: dict[str, float],
        extra: Mapping[str, str],
        baselines: dict[str, float] | None = None,
    ) -> Path:
        """Write a checkpoint; ``extra`` are further text files by name, ``baselines`` as in Meta."""
        return save_checkpoint(
            folder,
            config=self.config,
            weights=self.average.state_dict(),
            meta=Meta(
                step=self.step,
                metrics=metrics,
                proteins=self.proteins,
                codes=list(self.codes),
                store_fingerprint=self.store.fingerprint,
                git_commit=git_commit(),
                baselines=baselines,
            ),
            training={
                "step": self.step,
                "weights": self.model.state_dict(),
                "optimiser": self.optimiser.state_dict(),
            },
            extra=extra,
        )

    def resume(self, folder: Path) -> None:
        """Continue from a checkpoint.

        Raises:
            InputError: a checkpoint of another configuration or another store.
        """
        mine, theirs = self.config.flat(), load_config(folder).flat()
        # where a store lies may change between two sessions; what it holds may not
        places = ("data.source", "data.store")
        for key in mine.keys() | theirs.keys():
            if key not in places and mine.get(key) != theirs.get(key):
                raise InputError(
                    f"{folder}: was made with {key} = {theirs.get(key)}, not {mine.get(key)}; a run resumes with the "
                    "configuration it began with"
                )
        if load_meta(folder).store_fingerprint != self.store.fingerprint:
            raise InputError(f"{folder}: was trained on another store than {self.store.path}")
        state = load_training(folder, self.device)
        self.step = state["step"]
        self.model.load_state_dict(state["weights"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.average.load_state_dict(load_weights(folder))


def training_proteins(config: Config, store: SurfaceStore) -> list[str]:
    """Names of the proteins to train on."""
    if config.data.proteins is None:
        return store.names("train")
    return [store.protein(name).name for name in config.data.proteins]


def evaluated_proteins(config: Config, store: SurfaceStore) -> list[str]:
    """Names of the proteins scored while training; the split ``train`` means those trained on."""
    split = config.evaluation.split
    return training_proteins(config, store) if split == "train" else store.names(split)
