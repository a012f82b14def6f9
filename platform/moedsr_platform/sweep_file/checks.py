"""What a sweep file must hold beyond its types: domains, conditions, starting points, and what goes with what.

Every problem is one line with the file's line number, the rule, and the nearest valid choice.
"""

import itertools
import json
import math
from typing import Any

from moedsr.config_file import KeyPath, YamlSource, did_you_mean
from moedsr.errors import InputError
from moedsr_platform.sweep_file.schema import MOST_POINTS, SweepFile
from moedsr_platform.sweep_file.search_space import (
    FIXED,
    KINDS,
    PREPARE,
    Domain,
    as_values,
    grid_points,
    involved,
    override,
    problem_with,
    searchable_keys,
    space_size,
)


def check_domains(source: YamlSource, search: dict[str, Any]) -> None:
    """Shape of each domain as it was read, said more plainly than a type checker would.

    Raises:
        InputError: the first problem.
    """
    keys = searchable_keys()
    for key, domain in search.items():
        where = source.where(("search", key))
        if key not in keys:
            kept = "what is learned and scored is the same for all trials; of `data`, only `data.prepare` can vary"
            whole = next((name for name in keys if name.endswith(f".{key}")), key)  # `count` for `expert.count`
            hint = did_you_mean(whole, keys)
            raise InputError(
                f"{where}: `{key}` cannot be searched: {kept}{hint if key.startswith(PREPARE) else ''}"
                if key.startswith(FIXED)
                else f"{where}: search key `{key}` is not in the configuration{hint}; "
                f"keys look like {', '.join(keys[:2])}, ..."
            )
        kinds = [] if not isinstance(domain, dict) else [kind for kind in domain if kind != "when"]
        for kind in kinds:
            if kind not in KINDS:
                hint = did_you_mean(kind, (*KINDS, "when"))
                place = source.where(("search", key, kind))
                raise InputError(f"{place}: `{key}`: unknown kind `{kind}`{hint}; allowed: {', '.join(KINDS)}, when")
        if len(kinds) != 1:
            example = (
                f", such as {{choice: {json.dumps(domain, default=str)}}}"
                if isinstance(domain, list) and domain
                else ""
            )
            raise InputError(f"{where}: `{key}` must hold exactly one of {', '.join(KINDS)}{example}")
        kind, values = kinds[0], domain[kinds[0]]
        where = source.where(("search", key, kind))
        if kind in ("choice", "grid") and values in (None, []):
            raise InputError(f"{where}: `{key}`: {kind} is empty, but must hold at least one value")
        if kind in ("choice", "grid") and isinstance(values, list):
            for value in values:
                if isinstance(value, list | dict):
                    rule = "but each must be a single value; what belongs together goes by `when`"
                    raise InputError(f"{where}: `{key}`: {kind} holds {json.dumps(value, default=str)}, {rule}")
        if kind not in ("choice", "grid") and not (isinstance(values, list) and len(values) == 2):
            raise InputError(f"{where}: `{key}`: {kind} must be two numbers, [low, high]")
        when = domain.get("when")
        if "when" in domain and not (isinstance(when, dict) and when and [] not in when.values()):
            where = source.where(("search", key, "when"))
            raise InputError(f"{where}: `{key}`: when must be another search key and its values, {{key: [value, ...]}}")


def check_search(source: YamlSource, sweep: SweepFile) -> None:
    """Rules between the domains, the base, the sampler and the rest of the file.

    Raises:
        InputError: the first problem.
    """
    for key, domain in sweep.search.items():
        where = source.where(("search", key, domain.kind))
        for value in domain.values:
            if problem := problem_with(sweep.base, key, value):
                raise InputError(f"{where}: search {problem}")
        if sweep.sampler == "grid" and not domain.listed:
            raise InputError(f"{where}: `{key}` is the range {domain.kind}, but `sampler: grid` needs grid or choice")
        if sweep.sampler != "grid" and domain.kind == "grid":
            raise InputError(f"{where}: `{key}`: grid needs `sampler: grid`; `sampler: {sweep.sampler}` takes choice")
        if key.startswith(PREPARE) and not domain.listed:
            rule = "but stores are prepared beforehand: use choice"
            raise InputError(f"{where}: `{key}` is the range {domain.kind}, {rule}")
        _check_condition(source, sweep.search, key)
    _check_stores(source, sweep)
    _check_seeds_and_trials(source, sweep)
    _check_together(source, sweep)
    _check_batch(source, sweep)
    _check_start(source, sweep)
    _check_objectives(source, sweep)
    if sweep.scheduler is not None and sweep.scheduler.grace_steps > sweep.base.training.steps:
        raise InputError(
            f"{source.where(('scheduler',))}: grace_steps is {sweep.scheduler.grace_steps}, but must be at most "
            f"training.steps = {sweep.base.training.steps}"
        )


def cautions(sweep: SweepFile) -> list[str]:
    """What is allowed, and hardly meant, in one line each."""
    training, scheduler, found = sweep.base.training, sweep.scheduler, []
    varied = {"training.warmup_steps", "training.steps"} & sweep.search.keys()
    if training.warmup_steps >= training.steps and not varied:
        steps = f"{training.warmup_steps}, of {training.steps} steps"
        found.append(f"training.warmup_steps is {steps}: the learning rate only rises")
    if scheduler is not None and scheduler.median is not None and scheduler.median.min_trials >= sweep.points:
        number = scheduler.median.min_trials
        found.append(f"min_trials is {number}, of {sweep.points} points: none is stopped early")
    if scheduler is not None and not stops(sweep):
        found.append(f"no validation comes between step {scheduler.grace_steps} and the end: none is stopped early")
    return found


def stops(sweep: SweepFile) -> list[int]:
    """Steps of the validations after which a trial can be stopped: a rule hears of it only when it is validated."""
    assert sweep.scheduler is not None
    steps, every, asha = sweep.base.training.steps, sweep.base.training.validate_every, sweep.scheduler.asha
    rungs = asha.rungs(steps) if asha is not None else range(sweep.scheduler.grace_steps, steps, every)
    heard = dict.fromkeys(math.ceil(rung / every) * every for rung in rungs)
    return [step for step in heard if step < steps]


def _check_condition(source: YamlSource, search: dict[str, Domain], key: str) -> None:
    """`when` names values of listed keys that stand above."""
    above = dict(list(search.items())[: list(search).index(key)])
    for name, allowed in search[key].when.items():
        where = source.where(("search", key, "when", name))
        if name not in above:
            order = " is not searched; conditions"
            if name in search:
                order = " is the key itself; conditions" if name == key else " stands below it; conditions"
            hint = "" if name in search else did_you_mean(name, above)
            raise InputError(f"{where}: `{key}`: when names `{name}`, which{order} name search keys above{hint}")
        if not above[name].listed:
            kind = above[name].kind
            raise InputError(
                f"{where}: `{key}`: when names `{name}`, the range {kind}; conditions name a choice or grid"
            )
        for value in as_values(allowed):
            if value not in above[name].values:
                raise InputError(f"{where}: `{key}`: when asks for {_not_among(name, value, above[name])}")


def _check_stores(source: YamlSource, sweep: SweepFile) -> None:
    """A store that is named is one store."""
    varied = [key for key in sweep.search if key.startswith(PREPARE)]
    if not varied:
        return
    if sweep.base.data.store is not None:
        raise InputError(
            f"{source.where(('base', 'data', 'store'))}: `data.store` names one store, but `{varied[0]}` is searched "
            "and needs one for each value: leave `store` out, stores are then named by what they hold"
        )


def _check_seeds_and_trials(source: YamlSource, sweep: SweepFile) -> None:
    if sweep.seeds > 1 and "training.seed" in sweep.search:
        where = source.where(("search", "training.seed"))
        raise InputError(f"{where}: `training.seed` is searched, but `seeds: {sweep.seeds}` sets it")
    if sweep.sampler != "grid" and sweep.trials is None:
        raise InputError(f"{source.where(('sampler',))}: key `trials` is missing: `sampler: {sweep.sampler}` needs it")
    size = space_size(sweep.search)
    if sweep.sampler == "grid" and size is not None and size > MOST_POINTS:
        where = source.where(("sampler",))
        rule = f"but must have at most {MOST_POINTS}: use `sampler: random`"
        raise InputError(f"{where}: the grid has {size} points, {rule}")
    if not sweep.search and sweep.points > 1:
        raise InputError(f"{source.where(('trials',))}: `trials` is {sweep.points}, but nothing is searched; use seeds")


def _check_together(source: YamlSource, sweep: SweepFile) -> None:
    """The rules of the configuration between keys of several sections, at every point that could break them."""
    searched = involved(sweep.search, RULED)
    for point in itertools.islice(grid_points(searched), MOST_COMBINATIONS):
        try:
            override(sweep.base, point)
        except InputError as error:
            *_, key = (key for key in point if key in RULED)
            values = ", ".join(f"{key} {value}" for key, value in point.items())
            raise InputError(
                f"{source.where(('search', key))}: {values} can meet, but then {error}; `when` keeps values apart"
            ) from None


RULED = (
    "router.backbone", "expert.kind", "expert.count", "gate.top_k", "loss.occupancy_weight", "loss.change_weight",
    "training.occupancy_points",
)  # fmt: skip
"""Keys that the rules of ``Config`` are about."""
MOST_COMBINATIONS = 5000
"""That are tried, in about a second; what is wrong with one behind them is the reason of the trial that fails by it."""


def _check_batch(source: YamlSource, sweep: SweepFile) -> None:
    """Every batch is divided evenly among a trial's workers, however many there can be."""
    key, found = "training.batch_size", sweep.resources.workers
    workers = math.lcm(*range(found.min, found.max + 1))
    whom = f"{workers}, since a trial has {found.text} workers"
    searched = sweep.search.get(key)
    place: KeyPath = ("base", "training", "batch_size") if searched is None else ("search", key)
    if searched is not None and not searched.listed and workers > 1:
        raise InputError(f"{source.where(place)}: `{key}` is a range, but must be a multiple of {whom}: use choice")
    always = searched is not None and not searched.when
    for size in (*(searched.values if searched else ()), *(() if always else (sweep.base.training.batch_size,))):
        if isinstance(size, int) and size % workers:
            raise InputError(
                f"{source.where(place)}: {key} is {size}, but must be a multiple of {whom}; "
                f"nearest: {max(round(size / workers), 1) * workers}"
            )


def _check_start(source: YamlSource, sweep: SweepFile) -> None:
    """Starting points lie in the search space."""
    if sweep.start and sweep.sampler == "grid":
        raise InputError(f"{source.where(('start',))}: `start` is of no use: `sampler: grid` tries every point anyway")
    if len(sweep.start) > sweep.points:
        raise InputError(
            f"{source.where(('start',))}: `start` has {len(sweep.start)} points, but `trials` is {sweep.points}"
        )
    for number, point in enumerate(sweep.start):
        if point in sweep.start[:number]:
            raise InputError(f"{source.where(('start', number))}: start holds {json.dumps(point)} twice")
        for key, value in point.items():
            place: KeyPath = ("start", number, key)
            if key not in sweep.search:
                hint = did_you_mean(key, sweep.search)
                raise InputError(
                    f"{source.where(place)}: start names `{key}`, which is not searched{hint}; "
                    f"searched: {', '.join(sweep.search) or 'nothing'}"
                )
            domain = sweep.search[key]
            if not domain.holds(value):
                raise InputError(f"{source.where(place)}: start has {_not_among(key, value, domain)}")
            if not domain.active(point):
                needs = domain.text().partition(", when ")[2]
                raise InputError(
                    f"{source.where(place)}: start has `{key}`, which is searched only when {needs}: "
                    "give that in the same point, or leave the key out"
                )


def _check_objectives(source: YamlSource, sweep: SweepFile) -> None:
    """The first is a score, the second another metric; NSGA-II weighs two."""
    where = source.where(("objective",))
    metrics = [objective.metric for objective in sweep.objectives]
    if not metrics[0].startswith("val/"):
        raise InputError(
            f"{where}: the first objective is {metrics[0]}, but must be a score (val/...): it chooses the best "
            "validation of a trial, and stops trials early; name the cost second"
        )
    if len(metrics) == 2 and metrics[0] == metrics[1]:
        raise InputError(f"{where}: both objectives are {metrics[0]}, but two different ones are needed")
    if sweep.sampler == "nsga2" and len(metrics) == 1:
        raise InputError(
            f"{source.where(('sampler',))}: `sampler: nsga2` weighs two objectives, but `objective` has one; "
            "name a second, or use `sampler: tpe`"
        )


def _not_among(key: str, value: Any, domain: Domain) -> str:
    """``expert.count 5, which is not among 4, 8 (nearest: 4)``."""
    near = domain.nearest(value)
    hint = did_you_mean(str(value), map(str, domain.values)) if near is None else f" (nearest: {near})"
    within = ", ".join(map(str, domain.values)) if domain.listed else f"{domain.values[0]} to {domain.values[1]}"
    return f"{key} {value}, which is not {'among' if domain.listed else 'within'} {within}{hint}"
