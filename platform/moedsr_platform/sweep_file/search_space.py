"""What a sweep varies: the domain of one configuration key, and a configuration with such values put in."""

import json
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import BaseModel, Field, ValidationError, model_validator

from moedsr.config import Config, DataConfig, Section
from moedsr.config_file import explain
from moedsr.errors import InputError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Scalar = str | int | float | bool | None
Values = Annotated[tuple[Scalar, ...], Field(min_length=1)]
IntRange = tuple[int, int]
KINDS = ("choice", "uniform", "loguniform", "int", "grid")
PREPARE = "data.prepare."
"""Keys that make a store: a sweep that varies them prepares one for each of their values before its first trial."""
FIXED = (
    "data.",
    *(f"evaluation.{name}" for name in ("split", "scope", "frames", "grid_stride", "surface_samples")),
)
"""Keys that no trial may vary, ``PREPARE`` apart: what is learned and scored is the question itself."""


class Domain(Section):
    """The values of one key: exactly one of the kinds, perhaps with a condition. Ranges include both ends."""

    choice: Values | None = Field(None, description="one of these values")
    uniform: tuple[float, float] | None = Field(None, description="a number from low to high")
    loguniform: tuple[float, float] | None = Field(None, description="the same, even in the logarithm")
    grid: Values | None = Field(None, description="each of these values, for `sampler: grid`")
    when: dict[str, Scalar | Values] = Field(
        default={}, description="searched only where other searched keys have this value, or one of these"
    )
    int: IntRange | None = Field(None, description="a whole number from low to high")

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in ("uniform", "loguniform", "int"):
            limits = getattr(self, name)
            if limits is not None and limits[0] >= limits[1]:
                raise ValueError(f"{name} is {list(limits)}, but the first number must be below the second")
        for name in ("choice", "grid"):
            values = [repr(value) for value in getattr(self, name) or ()]
            if twice := next((value for value in values if values.count(value) > 1), None):
                raise ValueError(f"{name} holds {twice} twice")
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

    @property
    def _ends(self) -> tuple[float, float]:
        ends = self.int or self.uniform or self.loguniform
        assert ends is not None
        return ends

    def active(self, point: Mapping[str, Any]) -> bool:
        """Whether the key is searched at a point that holds the values of the keys above it."""
        return all(key in point and point[key] in as_values(allowed) for key, allowed in self.when.items())

    def holds(self, value: Any) -> bool:
        """Whether a value is one of the domain's."""
        if self.listed:
            return value in self.values
        low, high = self._ends
        kind = int if self.int is not None else int | float
        return isinstance(value, kind) and not isinstance(value, bool) and low <= value <= high

    def nearest(self, value: Any) -> Scalar | None:
        """The value of the domain that is closest to a number, None where there is none."""
        if not isinstance(value, int | float):
            return None
        if not self.listed:
            low, high = self._ends
            inside = min(max(value, low), high)
            return round(inside) if self.int is not None else inside
        numbers = [own for own in self.values if isinstance(own, int | float)]
        return min(numbers, key=lambda own: abs(own - value), default=None)

    def text(self) -> str:
        """``one of 4, 8``, ``loguniform from 0.1 to 1, when router.backbone is q_mpnn``."""
        values = [str(value) for value in self.values]
        said = f"one of {', '.join(values)}" if self.listed else f"{self.kind} from {' to '.join(values)}"
        conditions = [f"{key} is {' or '.join(map(str, as_values(allowed)))}" for key, allowed in self.when.items()]
        return said + (f", when {' and '.join(conditions)}" if conditions else "")

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


def as_values(value: Scalar | tuple[Scalar, ...]) -> tuple[Scalar, ...]:
    """One value as a tuple, several as they are."""
    return value if isinstance(value, tuple) else (value,)


def grid_points(search: Mapping[str, Domain]) -> list[dict[str, Scalar]]:
    """Every combination of listed values (of a range: its ends), the last key varying fastest.

    A key whose condition does not hold is left out, and counts once.
    """
    points: list[dict[str, Scalar]] = [{}]
    for key, domain in search.items():
        points = [
            wider
            for point in points
            for wider in ([{**point, key: value} for value in domain.values] if domain.active(point) else [point])
        ]
    return points


def space_size(search: Mapping[str, Domain]) -> int | None:
    """Number of different points; None where a range is searched, or nothing is."""
    if not search or not all(domain.listed for domain in search.values()):
        return None
    bound = involved(search, [key for key, domain in search.items() if domain.when])
    free = [len(set(domain.values)) for key, domain in search.items() if key not in bound]
    return math.prod(free) * (len(grid_points(bound)) if bound else 1)


def nearest_untried(
    search: Mapping[str, Domain], point: Mapping[str, Any], tried: Iterable[Mapping[str, Any]], seed: int
) -> dict[str, Scalar]:
    """The point of a listed space that is closest to this one and not among those tried; by chance among equals.

    Close are points with few different keys; of a listed number, neighbouring values are closer than distant ones.
    """
    known = {tuple(sorted(other.items(), key=lambda item: item[0])) for other in tried}
    untried = [other for other in grid_points(search) if tuple(sorted(other.items())) not in known]
    random.Random(seed).shuffle(untried)
    return min(untried, key=lambda other: sum(_apart(domain, key, point, other) for key, domain in search.items()))


def _apart(domain: Domain, key: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """0 for equal values of a key, 1 for words that differ or the ends of a list of numbers."""
    if one.get(key) == other.get(key) and (key in one) == (key in other):
        return 0.0
    if key not in one or key not in other or not all(isinstance(value, int | float) for value in domain.values):
        return 1.0
    places = [domain.values.index(point[key]) for point in (one, other)]
    return abs(places[0] - places[1]) / (len(domain.values) - 1)


def involved(search: Mapping[str, Domain], keys: Iterable[str]) -> dict[str, Domain]:
    """Those of the keys that are searched, with the keys that their conditions name, in the order of the search."""
    wanted = set(keys)
    for key, domain in reversed(list(search.items())):  # conditions name keys above
        if key in wanted:
            wanted |= domain.when.keys()
    return {key: domain for key, domain in search.items() if key in wanted}


def searchable_keys(model: type[BaseModel] = Config, prefix: str = "") -> list[str]:
    """Dotted names of every number that a trial may vary."""
    keys: list[str] = []
    for name, field in model.model_fields.items():
        kind, key = field.annotation, f"{prefix}{name}"
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            keys += searchable_keys(kind, f"{key}.")
        elif not key.startswith(FIXED) or key.startswith(PREPARE):
            keys.append(key)
    return keys


def data_settings(base: Config, search: Mapping[str, Domain]) -> list[DataConfig]:
    """The data section of every store that a sweep reads, each once; the base's own where none is varied."""
    varied = [key for key in search if key.startswith(PREPARE)]
    if not varied:
        return [base.data]  # as the file has it: one that only names a store takes it as it is
    found: dict[str, DataConfig] = {}
    for point in grid_points(involved(search, varied)):
        data = override(base, {key: point[key] for key in varied if key in point}).data
        found.setdefault(data.prepare.model_dump_json(), data)
    return list(found.values())


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
