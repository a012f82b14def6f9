"""How many trials the machines of a cluster hold."""

import math
from dataclasses import dataclass

from moedsr.errors import InputError
from moedsr_platform.sweep_file.schema import Resources


@dataclass(frozen=True)
class Node:
    """What one machine offers."""

    cpus: float
    gpus: float


def trials_at_once(resources: Resources, nodes: list[Node]) -> int:
    """How many trials the cluster holds; a worker does not straddle nodes, a trial may."""
    workers = sum(_workers_on(resources, node) for node in nodes)
    # a trial that starts with fewer workers than it may have takes what there is
    return workers // resources.workers.max or int(workers >= resources.workers.min)


def concurrency(resources: Resources, nodes: list[Node], grown: list[Node] | None = None) -> int:
    """Trials to run at once: as many as fit, and no more than the file says.

    Args:
        resources: of one trial.
        nodes: that are up.
        grown: that there are when the cluster has grown as far as it can.

    Raises:
        InputError: not even one fits, however far the cluster grows: it would wait for ever.
    """
    fit = max(trials_at_once(resources, nodes), trials_at_once(resources, grown or []))
    if fit < 1:
        has = f"the cluster has {offers(nodes)}"
        can = f" and can grow to {offers(grown)}" if grown else ""
        raise InputError(
            f"a trial needs {needs(resources)}, but {has}{can}: it can never start"
            + ("" if grown else "; if the cluster starts machines when they are needed, say so in resources.grows_to")
        )
    return min(fit, resources.concurrent_trials or fit)


def needs(resources: Resources) -> str:
    """The resources of one trial in words."""
    return (
        f"{resources.workers.text} worker{'s' if resources.workers.max > 1 else ''}"
        f" with {resources.cpus_per_worker} CPU"
        f" and {resources.gpus_per_worker:g} GPU each"
    )


def offers(nodes: list[Node]) -> str:
    """The resources of a cluster in words."""
    cpus, gpus = sum(node.cpus for node in nodes), sum(node.gpus for node in nodes)
    return f"{cpus:g} CPU and {gpus:g} GPU on {len(nodes)} node{'s' if len(nodes) != 1 else ''}"


def _workers_on(resources: Resources, node: Node) -> int:
    by_cpu, share = int(node.cpus // resources.cpus_per_worker), resources.gpus_per_worker
    if share == 0:
        return by_cpu
    if share < 1:  # a fraction is of one GPU
        return min(by_cpu, int(node.gpus) * math.floor(1 / share + 1e-9))
    return min(by_cpu, int(node.gpus // share))
