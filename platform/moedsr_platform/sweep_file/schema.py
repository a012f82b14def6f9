"""The sweep file and the run file: one YAML file that says everything a command is to do."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from moedsr.config import Config, Positive, Section, Seed
from moedsr.errors import InputError
from moedsr_platform.sweep_file.search_space import Domain, Scalar, space_size


def check_name(value: str) -> str:
    """A name that is also that of a folder.

    Raises:
        ValueError: it is none.
    """
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", value) is None:
        raise ValueError(
            f"is {value!r}, but must be letters, digits, dots, dashes and underscores, at most 100, "
            "and begin with a letter or digit"
        )
    return value


Name = Annotated[str, AfterValidator(check_name)]
SCORES = ("val/iou", "val/chamfer", "val/chamfer_l1", "val/normal_consistency", "val/gap_closed")
SMALLER = ("val/chamfer", "val/chamfer_l1", "perf/active_parameters", "perf/parameters", "system/memory_gib")
"""Metrics of which less is better."""
COSTS = ("perf/active_parameters", "perf/parameters", "perf/steps_per_second", "system/memory_gib")
MOST_POINTS = 100_000
Sampler = Literal["random", "grid", "tpe", "multivariate_tpe", "nsga2"]


class Asha(Section):
    """Asynchronous successive halving: a trial stops when it is not among the best of its rung."""

    grace_steps: Positive = Field(..., description="no trial stops before this optimiser step")
    reduction_factor: Annotated[int, Field(ge=2)] = Field(
        2, description="one trial in so many goes on at each rung; rungs lie this factor apart in steps"
    )

    def rungs(self, steps: int) -> tuple[int, ...]:
        """Optimiser steps of the rungs of a training of so many."""
        found = [self.grace_steps]
        while found[-1] * self.reduction_factor < steps:
            found.append(found[-1] * self.reduction_factor)
        return tuple(found)


class Median(Section):
    """Median stopping: a trial stops when its best so far is below the median of the others' means up to that step."""

    grace_steps: Positive = Field(..., description="no trial stops before this optimiser step")
    min_trials: Positive = Field(3, description="nor before so many others have come as far")


class Scheduler(Section):
    """How trials are stopped early: exactly one rule. Time is counted in optimiser steps."""

    asha: Asha | None = None
    median: Median | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.asha is None) == (self.median is None):
            raise ValueError("must hold exactly one of asha, median")
        return self

    @property
    def grace_steps(self) -> int:
        rule = self.asha or self.median
        assert rule is not None
        return rule.grace_steps


class Objective(Section):
    """What makes one trial better than another; the mode follows from the metric where it is left out."""

    metric: Literal[SCORES + COSTS] = "val/iou"  # type: ignore[valid-type]
    mode: Literal["max", "min"] = "max"

    @model_validator(mode="before")
    @classmethod
    def _natural(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("metric") in SMALLER:
            if given.get("mode") == "max":
                raise ValueError(f"`mode` is max, but less {given['metric']} is better: it must be min")
            return {"mode": "min", **given}
        if isinstance(given, dict) and given.get("mode") == "min":
            metric = given.get("metric", "val/iou")
            if metric in SCORES + COSTS:
                raise ValueError(f"`mode` is min, but more {metric} is better: it must be max")
        return given

    @property
    def sign(self) -> float:
        """Factor that makes more better."""
        return 1.0 if self.mode == "max" else -1.0


class Machines(Section):
    """Machines of one kind."""

    machines: Positive = Field(..., description="how many")
    cpus: Positive = Field(..., description="CPU cores of each")
    gpus: Annotated[int, Field(ge=0)] = Field(0, description="GPUs of each")


class Workers(Section):
    """Data-parallel workers of a trial: a number, or from how many to how many."""

    min: Positive = Field(..., description="with fewer, the trial waits")
    max: Positive = Field(..., description="it takes as many as the machines that are up can hold")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"has min {self.min}, but min must be at most max = {self.max}")
        return self

    @property
    def text(self) -> str:
        return str(self.max) if self.min == self.max else f"{self.min} to {self.max}"


class Resources(Section):
    """What one trial occupies while it runs."""

    workers: Workers = Field(
        Workers(min=1, max=1),
        description="data-parallel workers: 4, or {min: 2, max: 4} to follow machines that join and leave",
    )
    resize_seconds: Positive = Field(
        60, description="with min and max: how often to look for machines that joined; each change restarts the workers"
    )
    gpus_per_worker: Annotated[float, Field(ge=0)] = Field(0, description="GPUs of a worker; 0 trains on the CPU")
    cpus_per_worker: Positive = Field(1, description="CPU cores, and torch threads, of a worker")
    concurrent_trials: Positive | None = Field(None, description="at once; `auto`: as many as the cluster holds")
    worker_restarts: Annotated[int, Field(ge=0)] = Field(
        2, description="how often a trial that lost a worker goes on from its last checkpoint"
    )

    grows_to: Machines | None = Field(
        None, description="what an autoscaling cluster can have at most; a cluster of `ray up` says it by itself"
    )

    @field_validator("workers", mode="before")
    @classmethod
    def _fixed(cls, value: Any) -> Any:
        if isinstance(value, Workers | dict):
            return value
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"is {value!r}, but must be a whole number of at least 1, or {{min: 2, max: 4}}")
        return Workers(min=value, max=value)

    @field_validator("gpus_per_worker")
    @classmethod
    def _whole(cls, value: float) -> float:
        if value > 1 and value != int(value):
            raise ValueError(f"is {value:g}, but must be a fraction of one GPU or a whole number")
        return value

    @field_validator("concurrent_trials", mode="before")
    @classmethod
    def _auto(cls, value: Any) -> Any:
        return None if value == "auto" else value


class Register(Section):
    """Where the best checkpoint goes in the model registry."""

    model: Name = "moe-dsr"
    alias: Name = "candidate"

    @field_validator("alias")
    @classmethod
    def _free(cls, value: str) -> str:
        if re.fullmatch(r"latest|v\d+", value.lower()):  # in MLflow these name versions themselves
            raise ValueError(f"is {value!r}, but must be another word: MLflow keeps latest and v1, v2, … for itself")
        return value


def check_checkpoints(value: str | None) -> str | None:
    """A place for checkpoints: a folder, or an object store that can be reached.

    Raises:
        ValueError: it is neither.
    """
    if value is not None and "://" in value and not value.startswith(STORES):
        raise ValueError(f"is {value!r}, but must be a folder, or begin with {' or '.join(STORES)}")
    return value


STORES = ("s3://", "gs://")
CHECKPOINTS = Field(
    None,
    description="where trials keep checkpoints: a folder that all machines see, s3://bucket/path or gs://bucket/path; "
    "default: the folder of the sweep",
)
Checkpoints = Annotated[str | None, AfterValidator(check_checkpoints)]


class RunFile(Config):
    """One run: the configuration itself, with a name and the resources beside it."""

    name: Name
    resources: Resources = Resources()
    checkpoints: Checkpoints = CHECKPOINTS
    register_as: Register | None = Field(None, alias="register")


class SweepFile(Section):
    """A sweep: a base configuration, the keys that vary, and how to search them."""

    name: Name
    base: Config
    search: dict[str, Domain] = Field(default={}, description="dotted configuration key: its domain")
    start: tuple[dict[str, Scalar], ...] = Field(
        default=(), description="points tried first, by search key; keys left out are sampled"
    )
    sampler: Sampler = "multivariate_tpe"
    sampler_seed: Seed = Field(0, description="the same seed and the same results sample the same points")
    storage: str | None = Field(
        None, description="database URL of the Optuna study; default: optuna.db in the sweep's folder"
    )
    scheduler: Scheduler | None = Field(None, description="`none`, `asha` or `median`")
    trials: Annotated[int, Field(ge=1, le=MOST_POINTS)] | None = Field(
        None, description="points sampled; with `sampler: grid` default all points"
    )
    seeds: Annotated[int, Field(ge=1, le=1000)] = Field(
        1, description="trials of each point, with training.seed, training.seed + 1, ..."
    )
    objectives: Annotated[tuple[Objective, ...], Field(min_length=1, max_length=2)] = Field(
        (Objective(),), alias="objective", description="one, or a list of two: a score, and what it is weighed against"
    )
    resources: Resources = Resources()
    checkpoints: Checkpoints = CHECKPOINTS
    register_as: Register | None = Field(None, alias="register")

    @field_validator("storage")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is not None and "://" not in value:
            raise ValueError(f"is {value!r}, but must be a database's URL, such as sqlite:////folder/study.db")
        return value

    @field_validator("scheduler", mode="before")
    @classmethod
    def _none(cls, value: Any) -> Any:
        if isinstance(value, str) and value != "none":
            raise ValueError(f"is {value!r}, but must be none, {{asha: {{grace_steps: 80}}}} or the same with median")
        return None if value == "none" else value

    @field_validator("objectives", mode="before")
    @classmethod
    def _one(cls, value: Any) -> Any:
        if isinstance(value, str) or (isinstance(value, list) and not 1 <= len(value) <= 2):
            number = f"a list of {len(value)}" if isinstance(value, list) else repr(value)
            raise ValueError(f"is {number}, but must be one {{metric: val/iou, mode: max}} or a list of two")
        if isinstance(value, dict):
            return (Objective.model_validate(value),)
        return tuple(value) if isinstance(value, list) else value

    @property
    def objective(self) -> Objective:
        """The first objective: it chooses the best validation of a trial, and stops trials early."""
        return self.objectives[0]

    @property
    def points(self) -> int:
        """Number of configurations, seeds not counted; a space of listed values holds no more than all of them."""
        size = space_size(self.search)
        if self.sampler == "grid":
            size = size or 1
            return size if self.trials is None else min(self.trials, size)
        return min(self.trials or 1, size or self.trials or 1)

    def renamed(self, name: str) -> "SweepFile":
        """The same under another name.

        Raises:
            InputError: not a name.
        """
        try:
            check_name(name)
        except ValueError as error:
            raise InputError(f"--name {error}") from None
        return self.model_copy(update={"name": name})
