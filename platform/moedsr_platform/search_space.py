"""What a sweep varies: the domain of one configuration key, and a configuration with such values put in."""

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import BaseModel, Field, ValidationError, model_validator

from moedsr.config import Config, Section
from moedsr.config_file import explain
from moedsr.errors import InputError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Scalar = str | int | float | bool | None
Values = Annotated[tuple[Scalar, ...], Field(min_length=1)]
IntRange = tuple[int, int]
KINDS = ("choice", "uniform", "loguniform", "int", "grid")
FIXED_SECTIONS = ("data",)
"""Sections that no trial may vary: all trials of a sweep read one store."""


class Domain(Section):
    """The values of one key: exactly one of the kinds. Ranges include both ends."""

    choice: Values | None = Field(None, description="one of these values")
    uniform: tuple[float, float] | None = Field(None, description="a number from low to high")
    loguniform: tuple[float, float] | None = Field(None, description="the same, even in the logarithm")
    grid: Values | None = Field(None, description="each of these values, for `sampler: grid`")
    int: IntRange | None = Field(None, description="a whole number from low to high")

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in ("uniform", "loguniform", "int"):
            limits = getattr(self, name)
            if limits is not None and limits[0] >= limits[1]:
                raise ValueError(f"{name} is {list(limits)}, but the first number must be below the second")
        if self.loguniform is not None and self.loguniform[0] <= 0:
            raise ValueError(f"loguniform starts at {self.loguniform[0]:g}, but must start above 0")
        return self

    @property
    def kind(self) -> str:
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @property
    def values(self) -> tuple[Scalar, ...]:
        """The listed values, or the two ends of a range."""
        return getattr(self, self.kind)

    @property
    def listed(self) -> bool:
        return self.kind in ("choice", "grid")

    def distribution(self) -> "BaseDistribution":
        """The same for Optuna."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.int is not None:
            return IntDistribution(*self.int)
        if self.uniform is not None:
            return FloatDistribution(*self.uniform)
        if self.loguniform is not None:
            return FloatDistribution(*self.loguniform, log=True)
        return CategoricalDistribution(self.values)


def grid_points(search: Mapping[str, Domain]) -> list[dict[str, Scalar]]:
    """Every combination of listed values, the last key varying fastest."""
    combinations = itertools.product(*(domain.values for domain in search.values()))
    return [dict(zip(search, values, strict=True)) for values in combinations]


def searchable_keys(model: type[BaseModel] = Config, prefix: str = "") -> list[str]:
    """Dotted names of every number that a trial may vary."""
    keys: list[str] = []
    for name, field in model.model_fields.items():
        kind = field.annotation
        if not prefix and name in FIXED_SECTIONS:
            continue
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            keys += searchable_keys(kind, f"{prefix}{name}.")
        else:
            keys.append(f"{prefix}{name}")
    return keys


def override(base: Config, values: Mapping[str, Any]) -> Config:
    """The configuration with other values at dotted keys.

    Raises:
        InputError: a value that the key does not take, or values that do not go together.
    """
    try:
        return _override(base, values)
    except ValidationError as error:
        raise InputError(explain(Config, error.errors(include_url=False)[0])) from None


def problem_with(base: Config, key: str, value: Scalar) -> str | None:
    """Why the key cannot take the value whatever the other keys hold, or None when it can."""
    try:
        _override(base, {key: value})
    except ValidationError as error:
        for problem in error.errors(include_url=False):
            if problem["loc"][: key.count(".") + 1] == tuple(key.split(".")):
                return explain(Config, problem)
            if problem["loc"] == (key.split(".")[0],):  # a rule of one section, such as a list of allowed numbers
                return explain(Config, problem)
    return None


def _override(base: Config, values: Mapping[str, Any]) -> Config:
    data = base.model_dump(mode="json")
    for key, value in values.items():
        *parents, leaf = key.split(".")
        section = data
        for parent in parents:
            section = section[parent]
        section[leaf] = value
    return Config.model_validate_json(json.dumps(data))


def describe(values: Mapping[str, Any], keys: Sequence[str] | None = None) -> str:
    """``count=8 l_max=2``: values in a few characters, keys by their last part."""
    chosen = keys if keys is not None else list(values)
    return " ".join(f"{key.rsplit('.', 1)[-1]}={short(values[key])}" for key in chosen if key in values)


def short(value: Any) -> str:
    """A number in three significant digits, other values as they are."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)
