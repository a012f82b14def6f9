"""What a sweep would do and need, without doing it."""

import math
from collections.abc import Mapping

import yaml

from moedsr.errors import InputError
from moedsr_platform import cluster
from moedsr_platform.growth import growth
from moedsr_platform.nodes import needs, offers, trials_at_once
from moedsr_platform.preparation import check_data, store_path
from moedsr_platform.search_space import PREPARE, Scalar, data_settings, space_size
from moedsr_platform.sweep_file import SweepFile
from moedsr_platform.tracking_store import without_password


def describe(sweep: SweepFile, address: str | None) -> str:
    """The resolved configuration, the number of points, the needs of one trial, and whether they can be met.

    Raises:
        InputError: the cluster does not answer.
    """
    nodes = [cluster.this_machine()] if address is None else cluster.connect(address)
    grown = growth(sweep.resources)
    fit = max(trials_at_once(sweep.resources, nodes), trials_at_once(sweep.resources, grown))
    at_once = min(fit, sweep.resources.concurrent_trials or fit)
    resolved = yaml.safe_dump(sweep.base.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    held = f"it can hold {at_once} trial{'s' if at_once > 1 else ''} at a time" if fit else "it cannot hold one trial"
    grows = f", can grow to {offers(grown)}" if grown else ""
    lines = [
        "configuration:",
        *(f"  {line}" for line in resolved.splitlines()),
        *(_search(sweep) if sweep.points * sweep.seeds > 1 else [f"one training of {sweep.base.training.steps} steps"]),
        *_stores(sweep),
        *_missing_data(sweep),
        f"one trial: {needs(sweep.resources)}",
        f"{'this machine' if address is None else address}: {offers(nodes)}{grows}; {held}",
    ]
    return "\n".join(lines)


def _search(sweep: SweepFile) -> list[str]:
    """Where it searches, and how."""
    start = [f"  {number}. {_point(point)}" for number, point in enumerate(sweep.start, start=1)]
    seeds = f"{sweep.points} point{'s' if sweep.points > 1 else ''} x {sweep.seeds} seeds = " if sweep.seeds > 1 else ""
    size = space_size(sweep.search)
    return [
        "search:" if sweep.search else "search: nothing",
        *(f"  {key}: {domain.text()}" for key, domain in sweep.search.items()),
        *(["start:", *start] if start else []),
        f"sampler: {sweep.sampler}, {seeds}{sweep.points * sweep.seeds} trials of {sweep.base.training.steps} steps"
        + (f", of {size} possible points" if size else ""),
        f"scheduler: {_scheduler(sweep)}",
        "objective: " + ", ".join(f"{objective.mode} {objective.metric}" for objective in sweep.objectives),
        f"study: {without_password(sweep.storage) if sweep.storage else 'optuna.db in the folder of the sweep'}",
    ]


def _point(point: Mapping[str, Scalar]) -> str:
    return ", ".join(f"{key} = {value}" for key, value in point.items()) or "all keys sampled"


def _scheduler(sweep: SweepFile) -> str:
    """The rule, and the steps at which it can stop a trial: it hears of a trial only when that is validated."""
    if sweep.scheduler is None:
        return "none"
    steps, every = sweep.base.training.steps, sweep.base.training.validate_every
    if sweep.scheduler.median is not None:
        median = sweep.scheduler.median
        return (
            f"median, a trial below the median of the others stops, at validations from step {median.grace_steps} on, "
            f"when {median.min_trials} others have come as far"
        )
    asha = sweep.scheduler.asha
    assert asha is not None
    heard = list(dict.fromkeys(min(math.ceil(rung / every) * every, steps) for rung in asha.rungs(steps)))
    return f"asha, one in {asha.reduction_factor} goes on after the validations at steps {', '.join(map(str, heard))}"


def _stores(sweep: SweepFile) -> list[str]:
    """The stores that a sweep varies, and whether they are there."""
    sections = data_settings(sweep.base, sweep.search)
    if len(sections) < 2:
        return []
    lines = []
    for data in sections:
        place = store_path(data)
        there = "prepared" if (place / "manifest.json").exists() else "to be prepared before the first trial"
        own = data.prepare.model_dump()
        varied = [f"{key} = {own[key.removeprefix(PREPARE)]}" for key in sweep.search if key.startswith(PREPARE)]
        lines.append(f"  {', '.join(varied)}: {place}, {there}")
    return ["stores:", *lines]


def _missing_data(sweep: SweepFile) -> list[str]:
    """What there must be before the sweep can start."""
    try:
        for data in data_settings(sweep.base, sweep.search):
            check_data(data)
    except InputError as error:
        return [f"missing: {error}"]
    return []
