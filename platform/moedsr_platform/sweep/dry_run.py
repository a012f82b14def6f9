"""What a sweep would do and need, without doing it."""

import math
from collections.abc import Mapping

import yaml

from moedsr.errors import InputError
from moedsr_platform.cluster import connection as cluster
from moedsr_platform.cluster.growth import growth
from moedsr_platform.cluster.nodes import needs, offers, trials_at_once
from moedsr_platform.cluster.preparation import check_data, store_path
from moedsr_platform.sweep_file.checks import cautions, stops
from moedsr_platform.sweep_file.schema import SweepFile
from moedsr_platform.sweep_file.search_space import PREPARE, Scalar, data_settings, space_size
from moedsr_platform.tracking.store import without_password


def describe(sweep: SweepFile, address: str | None) -> str:
    """The resolved configuration, the number of points, the needs of one trial, and whether they can be met.

    Raises:
        InputError: the cluster does not answer.
    """
    nodes = [cluster.this_machine()] if address is None else cluster.connect(address)
    grown = growth(sweep.resources)
    fit = max(trials_at_once(sweep.resources, nodes), trials_at_once(sweep.resources, grown))
    at_once = min(fit, sweep.resources.concurrent_trials or fit)
    held = f"it can hold {at_once} trial{'s' if at_once > 1 else ''} at a time" if fit else "it cannot hold one trial"
    grows = f", can grow to {offers(grown)}" if grown else ""
    lines = [
        "configuration:",
        *(f"  {line}" for line in _configuration(sweep)),
        *(_search(sweep) if sweep.points * sweep.seeds > 1 else [f"one training of {_steps(sweep)} steps"]),
        *_stores(sweep),
        *_missing_data(sweep),
        *(f"note: {line}" for line in cautions(sweep)),
        f"one trial: {needs(sweep.resources)}",
        _disk(sweep),
        f"{'this machine' if address is None else address}: {offers(nodes)}{grows}; {held}",
    ]
    return "\n".join(lines)


def _configuration(sweep: SweepFile) -> list[str]:
    """Every key with its value; one that is searched says so, since its value only holds where it is not."""
    resolved = sweep.base.model_dump(mode="json")
    for key, domain in sweep.search.items():
        *parents, leaf = key.split(".")
        section = resolved
        for parent in parents:
            section = section[parent]
        section[leaf] = f"searched, else {section[leaf]}" if domain.when else "searched"
    return yaml.safe_dump(resolved, sort_keys=False, allow_unicode=True, width=math.inf).splitlines()


def _steps(sweep: SweepFile) -> str:
    """Optimiser steps of a trial, or from how many to how many where that is searched."""
    found = [sweep.base.training.steps]
    if "training.steps" in sweep.search:
        found = [value for value in sweep.search["training.steps"].values if isinstance(value, int)]
    return str(found[0]) if len(found) == 1 else f"{min(found)} to {max(found)}"


def _disk(sweep: SweepFile) -> str:
    """What the checkpoints take at most, by the experts' weights."""
    largest = 1.0
    for key in ("count", "hidden_layers", "hidden_size", "hidden_size"):
        values = [getattr(sweep.base.expert, key)]
        if f"expert.{key}" in sweep.search:
            values = [value for value in sweep.search[f"expert.{key}"].values if isinstance(value, int)]
        largest *= max(values)
    kept = 2 * _BYTES * largest * sweep.points * sweep.seeds
    return (
        f"disk: a trial keeps two checkpoints, each with {_size(_BYTES * largest)} for the largest experts "
        f"({_size(kept)} for all trials) and surfaces of a few frames"
    )


_BYTES = 16.0
"""Of each weight in a checkpoint: itself, its running mean, two moments of the optimiser."""


def _size(size: float) -> str:
    for unit in ("kB", "MB", "GB"):
        size /= 1000
        if size < 1000:
            return f"{size:.2g} {unit}" if size < 100 else f"{size:.0f} {unit}"
    return f"{size / 1000:.0f} TB"


def _search(sweep: SweepFile) -> list[str]:
    """Where it searches, and how."""
    start = [f"  {number}. {_point(point)}" for number, point in enumerate(sweep.start, start=1)]
    seeds = f"{sweep.points} point{'s' if sweep.points > 1 else ''} x {sweep.seeds} seeds = " if sweep.seeds > 1 else ""
    size = space_size(sweep.search)
    return [
        "search:" if sweep.search else "search: nothing",
        *(f"  {key}: {domain.text()}" for key, domain in sweep.search.items()),
        *(["start:", *start] if start else []),
        f"sampler: {sweep.sampler}, {seeds}{sweep.points * sweep.seeds} trials of {_steps(sweep)} steps"
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
    if sweep.scheduler.median is not None:
        median = sweep.scheduler.median
        return (
            f"median, a trial below the median of the others stops, at validations from step {median.grace_steps} on, "
            f"when so many others have come as far: {median.min_trials}"
        )
    asha = sweep.scheduler.asha
    assert asha is not None
    heard = stops(sweep)
    if not heard:
        return "asha, which stops nothing"
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
