"""Optimiser, learning-rate schedule and the running mean of the weights."""

import math

import torch
from torch import Tensor, nn
from torch.optim import Adam, AdamW

from moedsr.config import TrainingConfig
from moedsr.models.moedsr import MoEDSR


def make_optimiser(model: MoEDSR, config: TrainingConfig) -> AdamW:
    """Adam with a learning rate of its own for the latent codes, which never decay: their loss term does that."""
    codes = list(model.codes.parameters())
    others = [p for p in model.parameters() if not any(p is code for code in codes)]
    return AdamW(
        [
            {"params": others, "peak": config.learning_rate, "weight_decay": config.weight_decay},
            {"params": codes, "peak": config.latent_learning_rate},
        ],
        lr=config.learning_rate,
        weight_decay=0.0,
    )


def set_learning_rate(optimiser: Adam, step: int, config: TrainingConfig) -> None:
    """The rates of one step: linear warm-up, then the schedule; a function of the step alone."""
    warmup = min(config.warmup_steps, config.steps)
    if step < warmup:
        factor = (step + 1) / warmup
    else:
        factor = SCHEDULES[config.schedule]((step - warmup) / max(config.steps - warmup, 1), config)
    for group in optimiser.param_groups:
        group["lr"] = group["peak"] * factor


def cosine(progress: float, config: TrainingConfig) -> float:
    """Fraction of the peak rates at a share of training after the warm-up: half a cosine to the final fraction."""
    final = config.final_learning_rate
    return final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2


def halving(progress: float, config: TrainingConfig) -> float:
    """The same for rates that are halved at even distances; in DSR after 200 of 4000 epochs, 20 stretches."""
    return 0.5 ** int(progress * config.halvings)


SCHEDULES = {"cosine": cosine, "halving": halving}


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, step: int, decay: float) -> None:
    """Move the running mean of the weights towards the present ones.

    Early on the mean is short, so that the initial weights do not linger in it.
    """
    share = 1 - min(decay, (1 + step) / (10 + step))
    mean: list[Tensor] = list(average.parameters())
    torch._foreach_lerp_(mean, list(model.parameters()), share)
