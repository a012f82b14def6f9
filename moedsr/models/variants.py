"""Choosing a variant by its name in a configuration."""

from collections.abc import Mapping
from typing import TypeVar

from moedsr.config_file import did_you_mean
from moedsr.errors import InputError

Variant = TypeVar("Variant")


def choose(variants: Mapping[str, Variant], name: str, key: str) -> Variant:
    """The variant of that name.

    Raises:
        InputError: no such variant; names the nearest and all that exist.
    """
    if name not in variants:
        raise InputError(
            f"{key} is `{name}`{did_you_mean(name, variants)}, but must be one of {', '.join(sorted(variants))}"
        )
    return variants[name]
