"""YAML files with line numbers, and one strict way to turn them into typed configuration."""

import difflib
import json
import re
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from moedsr.config import Config
from moedsr.errors import InputError

Model = TypeVar("Model", bound=BaseModel)
KeyPath = tuple[str | int, ...]


class _Loader(yaml.SafeLoader):
    """Safe YAML that reads ``1e-4`` as a number, refuses repeated keys, and remembers lines."""


# YAML 1.1 reads on, off, yes, no as truth values, 020 as 16 and 1:30 as 90; 1.2, and every user, does not
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] not in ("bool", "int", "float")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _tag, _pattern, _first in (
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("int", r"^[-+]?(?:0|[1-9][\d_]*)$", "-+0123456789"),
    ("float", r"^[-+]?(?:\d[\d_]*\.[\d_]*|\.\d[\d_]*|\d[\d_]*(?=[eE]))(?:[eE][-+]?\d+)?$", "-+0123456789."),
    ("float", r"^(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$", "-+."),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))

_LARGEST = 100_000
"""Values in a file: aliases can name each other, and a page of them unfold into more than any memory holds."""


class YamlSource:
    """A parsed YAML mapping that knows the line of every key.

    Attributes:
        path: the file.
        data: plain mappings, lists, strings, numbers.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
        self._lines: dict[KeyPath, int] = {}
        self._values = 0
        try:
            loader = _Loader(text)
            node = loader.get_single_node()
            self.data: dict[str, Any] = {} if node is None else self._build(loader, node, ())
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f"{path}:{mark.line + 1}" if mark else str(path)
            problem = str(getattr(error, "problem", None) or error)
            hint = "; indent with spaces" if "\\t" in problem else ""
            raise InputError(f"{where}: not valid YAML: {problem}{hint}") from error
        except RecursionError:
            raise InputError(f"{path}: not valid YAML: nested too deeply") from None
        if not isinstance(self.data, dict):
            raise InputError(f"{path}:1: the file must be a mapping of keys to values")

    def _build(self, loader: _Loader, node: yaml.Node, path: KeyPath) -> Any:
        self._lines.setdefault(path, node.start_mark.line + 1)
        self._values += 1
        if self._values > _LARGEST:
            raise InputError(f"{self.path}: holds more than {_LARGEST} values")
        if isinstance(node, yaml.MappingNode):
            result: dict[Hashable, Any] = {}
            for key_node, value_node in node.value:
                key = loader.construct_object(key_node, deep=True)
                line = key_node.start_mark.line + 1
                if not isinstance(key, str):
                    raise InputError(f"{self.path}:{line}: key {key!r} must be text")
                if key in result:
                    raise InputError(f"{self.path}:{line}: key `{key}` stands twice")
                self._lines[(*path, key)] = line
                result[key] = self._build(loader, value_node, (*path, key))
            return result
        if isinstance(node, yaml.SequenceNode):
            return [self._build(loader, child, (*path, i)) for i, child in enumerate(node.value)]
        return loader.construct_object(node, deep=True)

    def where(self, path: KeyPath) -> str:
        """``file:line`` of a key, or of the nearest key above it."""
        while path and path not in self._lines:
            path = path[:-1]
        return f"{self.path}:{self._lines.get(path, 1)}"

    def build(self, model: type[Model], at: KeyPath = ()) -> Model:
        """The typed model from the mapping at a key path.

        Raises:
            InputError: the first problem, as one line with file, line, key, rule and nearest name.
        """
        value: Any = self.data
        for key in at:
            value = value[key]
        try:
            # JSON mode: lists are tuples and text is a path, and all else stays strict
            return model.model_validate_json(json.dumps(value))
        except ValidationError as error:
            problem = first_problem(error)
            path = (*at, *problem["loc"])
            raise InputError(f"{self.where(path)}: {explain(model, problem)}") from None
        except TypeError as error:
            raise InputError(f"{self.where(at)}: {error}; dates and binary values must be quoted") from None


def load_config(path: Path) -> Config:
    """The configuration of one run from a YAML file.

    Raises:
        InputError: unreadable file, unknown key, wrong type or value.
    """
    return YamlSource(path).build(Config)


def first_problem(error: ValidationError) -> Any:
    """The first of what is wrong; a key that is missing since it is misspelled is told by its misspelling."""
    problems = error.errors(include_url=False)
    if problems[0]["type"] == "missing":
        return next((one for one in problems if one["type"] == "extra_forbidden"), problems[0])
    return problems[0]


def explain(model: type[BaseModel], problem: Any) -> str:
    """One validation problem in plain words: which key, its value, the rule, what is allowed."""
    loc: KeyPath = problem["loc"]
    rule = problem["msg"][0].lower() + problem["msg"][1:]
    if len(loc) > 1 and loc[-1] in _SCALARS:  # the first of the types that a single value may have
        loc, rule = loc[:-1], "must be a single value"
    name = ".".join(str(part) for part in loc) or "the file"
    if problem["type"] == "extra_forbidden":
        allowed = _fields_at(model, loc[:-1])
        return f"unknown key `{name}`{did_you_mean(str(loc[-1]), allowed)}; allowed: {', '.join(sorted(allowed))}"
    if problem["type"] == "missing":
        return f"key `{name}` is missing"
    if problem["type"] == "value_error":
        rule = str(problem["ctx"]["error"])
        if not loc:
            return rule
        return f"`{name}` {rule}" if rule.startswith(("is ", "has ", "must ")) else f"`{name}`: {rule}"
    hint = ""
    if problem["type"] == "literal_error":
        hint = did_you_mean(str(problem["input"]), re.findall(r"'([^']*)'", problem["ctx"]["expected"]))
    rule = _PLAIN.get(rule, rule.replace("input should", "must"))
    return f"`{name}` is {json.dumps(problem['input'], ensure_ascii=False)}{hint}, but {rule}"


_SCALARS = ("str", "int", "float", "bool")
_PLAIN = {
    "input should be a valid string": "must be text",
    "input should be a valid boolean": "must be true or false",
    "input should be a valid array": "must be a list",
    "input should be an object": "must be a mapping of keys to values",
    "input should be a valid dictionary": "must be a mapping of keys to values",
}


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """`` (did you mean `x`?)`` when an allowed name is close, else nothing."""
    close = difflib.get_close_matches(name, list(allowed), n=1)
    return f" (did you mean `{close[0]}`?)" if close else ""


def _fields_at(model: type[BaseModel], path: KeyPath) -> list[str]:
    """Names, as a file has them, of the keys below a key path; none where no section lies there."""
    for part in path:
        found = [field.annotation for name, field in model.model_fields.items() if (field.alias or name) == part]
        sections = [section for annotation in found for section in _sections_in(annotation)]
        if not sections:
            return []
        model = sections[0]
    return [field.alias or name for name, field in model.model_fields.items()]


def _sections_in(annotation: Any) -> list[type[BaseModel]]:
    """The models that an annotation allows: itself, or those of ``X | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for choice in get_args(annotation) for section in _sections_in(choice)]
