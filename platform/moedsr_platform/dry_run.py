"""What a sweep would do and need, without doing it."""

import yaml

from moedsr_platform import cluster
from moedsr_platform.search_space import Domain
from moedsr_platform.sweep_file import SweepFile


def describe(sweep: SweepFile, address: str | None) -> str:
    """The resolved configuration, the number of points, the needs of one trial, and whether they can be met.

    Raises:
        InputError: the cluster does not answer.
    """
    nodes = [cluster.this_machine()] if address is None else cluster.connect(address)
    fit = cluster.trials_at_once(sweep.resources, nodes)
    at_once = min(fit, sweep.resources.concurrent_trials or fit)
    resolved = yaml.safe_dump(sweep.base.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    search = [f"  {key}: {_domain(domain)}" for key, domain in sweep.search.items()]
    total = sweep.points * sweep.seeds
    held = f"it can hold {at_once} trials at a time" if fit else "it cannot hold one trial"
    lines = [
        "configuration:",
        *(f"  {line}" for line in resolved.splitlines()),
        "search:" if search else "search: nothing",
        *search,
        f"sampler: {sweep.sampler}, {sweep.points} points x {sweep.seeds} seeds = {total} trials of "
        f"{sweep.base.training.steps} steps" + (f", of {_size(sweep)} possible points" if _size(sweep) else ""),
        f"scheduler: {_scheduler(sweep)}",
        f"objective: {sweep.objective.mode} {sweep.objective.metric}",
        f"one trial: {cluster.needs(sweep.resources)}",
        f"{'this machine' if address is None else address}: {cluster.offers(nodes)}; {held}",
    ]
    return "\n".join(lines)


def _domain(domain: Domain) -> str:
    values = ", ".join(str(value) for value in domain.values)
    return f"one of {values}" if domain.listed else f"{domain.kind} from {values.replace(', ', ' to ')}"


def _size(sweep: SweepFile) -> int | None:
    """Number of different points, None when a range is searched or nothing is."""
    if not sweep.search or not all(domain.listed for domain in sweep.search.values()):
        return None
    size = 1
    for domain in sweep.search.values():
        size *= len(domain.values)
    return size


def _scheduler(sweep: SweepFile) -> str:
    if sweep.scheduler is None:
        return "none"
    asha = sweep.scheduler.asha
    return f"asha, from step {asha.grace_steps}, one in {asha.reduction_factor} goes on at each rung"
