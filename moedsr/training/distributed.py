"""Sums over data-parallel workers; with one worker, and without a process group, the identity."""

from typing import Any

import torch.distributed as dist
from torch import Tensor


def world_size() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def barrier() -> None:
    if dist.is_initialized():
        dist.barrier()


def global_sum(local: Tensor) -> Tensor:
    """Sum over the workers, with a gradient that stays exact when gradients are averaged over them.

    The value is that of the whole batch. Data parallelism divides every gradient by the number of workers, so the
    local part carries that number as a factor: the averaged gradient is then the gradient of the global sum.
    """
    if world_size() == 1:
        return local
    total = local.detach().clone()
    dist.all_reduce(total)
    return total + world_size() * (local - local.detach())


def gather(value: Any) -> list[Any]:
    """The values of all workers, in rank order, on every worker."""
    if world_size() == 1:
        return [value]
    values: list[Any] = [None] * world_size()
    dist.all_gather_object(values, value)
    return values


def mean(local: Tensor) -> Tensor:
    """Mean over the workers, without gradient."""
    if world_size() == 1:
        return local
    total = local.detach().clone()
    dist.all_reduce(total)
    return total / world_size()
