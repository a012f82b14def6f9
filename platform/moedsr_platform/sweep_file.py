"""The sweep file and the run file: one YAML file that says everything a command is to do."""

import itertools
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from moedsr.config import Config, Positive, Section
from moedsr.config_file import YamlSource, did_you_mean
from moedsr.errors import InputError
from moedsr_platform.search_space import (
    FIXED_SECTIONS,
    KINDS,
    Domain,
    grid_points,
    problem_with,
    searchable_keys,
)

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
METRICS = ("val/iou", "val/chamfer", "val/chamfer_l1", "val/normal_consistency", "val/gap_closed")


class Asha(Section):
    """Asynchronous successive halving: a trial stops when it is behind the best of its rung."""

    grace_steps: Positive = Field(..., description="no trial stops before this optimiser step")
    reduction_factor: Annotated[int, Field(ge=2)] = Field(
        3, description="one trial in so many goes on at each rung; rungs lie this factor apart in steps"
    )


class Scheduler(Section):
    """How trials are stopped early."""

    asha: Asha


class Objective(Section):
    """What makes one trial better than another: the best validation of each counts."""

    metric: Literal[METRICS] = "val/iou"  # type: ignore[valid-type]
    mode: Literal["max", "min"] = "max"


class Resources(Section):
    """What one trial occupies while it runs."""

    workers: Positive = Field(1, description="Ray Train workers of a trial; the batch is divided among them")
    gpus_per_worker: Annotated[float, Field(ge=0)] = Field(0, description="GPUs of a worker; 0 trains on the CPU")
    cpus_per_worker: Positive = Field(1, description="CPU cores, and torch threads, of a worker")
    concurrent_trials: Positive | None = Field(None, description="at once; `auto`: as many as the cluster holds")
    worker_restarts: Annotated[int, Field(ge=0)] = Field(
        2, description="how often a trial that lost a worker goes on from its last checkpoint"
    )

    @field_validator("concurrent_trials", mode="before")
    @classmethod
    def _auto(cls, value: Any) -> Any:
        return None if value == "auto" else value


class Register(Section):
    """Where the best checkpoint goes in the model registry."""

    model: Name = "moe-dsr"
    alias: Name = "candidate"


class RunFile(Config):
    """One run: the configuration itself, with a name and the resources beside it."""

    name: Name
    resources: Resources = Resources()
    register_as: Register | None = Field(None, alias="register")


class SweepFile(Section):
    """A sweep: a base configuration, the keys that vary, and how to search them."""

    name: Name
    base: Config
    search: dict[str, Domain] = Field(default={}, description="dotted configuration key: its domain")
    sampler: Literal["tpe", "random", "grid"] = "tpe"
    sampler_seed: int = Field(0, description="the same seed and trial order sample the same points")
    scheduler: Scheduler | None = Field(None, description="`none`, or `asha`")
    trials: Positive | None = Field(None, description="points sampled; with `sampler: grid` default all points")
    seeds: Positive = Field(1, description="trials of each point, with training.seed, training.seed + 1, ...")
    objective: Objective = Objective()
    resources: Resources = Resources()
    register_as: Register | None = Field(None, alias="register")

    @field_validator("scheduler", mode="before")
    @classmethod
    def _none(cls, value: Any) -> Any:
        return None if value == "none" else value

    @property
    def points(self) -> int:
        """Number of configurations, seeds not counted."""
        if self.sampler == "grid":
            total = len(grid_points(self.search))
            return total if self.trials is None else min(self.trials, total)
        return self.trials or 1

    def renamed(self, name: str) -> "SweepFile":
        """The same under another name.

        Raises:
            InputError: not a name.
        """
        if re.fullmatch(NAME_PATTERN, name) is None:
            raise InputError(f"--name is {name!r}, but must be letters, digits, dots, dashes and underscores")
        return self.model_copy(update={"name": name})


def load_sweep(path: Path) -> SweepFile:
    """The sweep of a YAML file, checked as far as can be without data and cluster.

    Raises:
        InputError: the first problem, with file and line.
    """
    source = YamlSource(path)
    if "base" not in source.data and "data" in source.data:
        raise InputError(f"{source.where(('data',))}: this is a run file, not a sweep: use `moedsr train {path}`")
    source.data.setdefault("name", path.stem)
    search = source.data.get("search")
    if isinstance(search, dict):
        _check_domains(source, search)
    sweep = source.build(SweepFile)
    _check_search(source, sweep)
    return sweep


def load_run(path: Path) -> SweepFile:
    """A run file as the sweep of one trial that it is.

    Raises:
        InputError: the first problem, with file and line.
    """
    source = YamlSource(path)
    if "base" in source.data:
        raise InputError(f"{source.where(('base',))}: this is a sweep file, not a run: use `moedsr sweep {path}`")
    source.data.setdefault("name", path.stem)
    run = source.build(RunFile)
    base = Config(**{name: getattr(run, name) for name in Config.model_fields})
    return SweepFile(name=run.name, base=base, resources=run.resources, register=run.register_as)


def _check_domains(source: YamlSource, search: dict[str, Any]) -> None:
    """Shape of each domain, said more plainly than a type checker would."""
    keys = searchable_keys()
    for key, domain in search.items():
        where = source.where(("search", key))
        if key.split(".")[0] in FIXED_SECTIONS:
            raise InputError(f"{where}: `{key}` cannot be searched: all trials of a sweep read one store")
        if key not in keys:
            raise InputError(
                f"{where}: search key `{key}` is not in the configuration{did_you_mean(key, keys)}; "
                f"keys look like {', '.join(keys[:2])}, ..."
            )
        if not isinstance(domain, dict) or len(domain) != 1:
            raise InputError(f"{where}: `{key}` must hold exactly one of {', '.join(KINDS)}")
        kind, values = next(iter(domain.items()))
        where = source.where(("search", key, kind))
        if kind not in KINDS:
            hint = did_you_mean(kind, KINDS)
            raise InputError(f"{where}: `{key}`: unknown kind `{kind}`{hint}; allowed: {', '.join(KINDS)}")
        if kind in ("choice", "grid") and values in (None, []):
            raise InputError(f"{where}: `{key}`: {kind} is empty, but must hold at least one value")
        if kind not in ("choice", "grid") and not (isinstance(values, list) and len(values) == 2):
            raise InputError(f"{where}: `{key}`: {kind} must be two numbers, [low, high]")


def _check_search(source: YamlSource, sweep: SweepFile) -> None:
    """Rules between the domains, the base and the sampler."""
    for key, domain in sweep.search.items():
        where = source.where(("search", key, domain.kind))
        for value in domain.values:
            if problem := problem_with(sweep.base, key, value):
                raise InputError(f"{where}: search {problem}")
        if sweep.sampler == "grid" and not domain.listed:
            raise InputError(f"{where}: `{key}` is a {domain.kind} range, but `sampler: grid` needs grid or choice")
        if sweep.sampler != "grid" and domain.kind == "grid":
            raise InputError(f"{where}: `{key}`: grid needs `sampler: grid`; `sampler: {sweep.sampler}` takes choice")
    if sweep.seeds > 1 and "training.seed" in sweep.search:
        where = source.where(("search", "training.seed"))
        raise InputError(f"{where}: `training.seed` is searched, but `seeds: {sweep.seeds}` sets it")
    if sweep.sampler != "grid" and sweep.trials is None:
        raise InputError(f"{source.where(('sampler',))}: key `trials` is missing: `sampler: {sweep.sampler}` needs it")
    if not sweep.search and sweep.points > 1:
        raise InputError(f"{source.where(('trials',))}: `trials` is {sweep.points}, but nothing is searched; use seeds")
    _check_gate(source, sweep)


def _check_gate(source: YamlSource, sweep: SweepFile) -> None:
    """The one rule between two keys that a sampler could break."""
    counts, tops = (
        sweep.search[key].values if key in sweep.search else (value,)
        for key, value in (
            ("expert.count", sweep.base.expert.count),
            ("gate.top_k", sweep.base.gate.top_k),
        )
    )
    for count, top in itertools.product(counts, tops):
        if isinstance(count, int) and isinstance(top, int) and top > count:
            key = "gate.top_k" if "gate.top_k" in sweep.search else "expert.count"
            raise InputError(
                f"{source.where(('search', key))}: gate.top_k {top} can meet expert.count {count}, "
                "but must be at most expert.count"
            )
