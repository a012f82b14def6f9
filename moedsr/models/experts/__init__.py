"""Kinds of experts, one file each, behind the field contract."""

from moedsr.models.experts._base import Experts, FieldContext
from moedsr.models.experts.plain import PlainExperts

EXPERTS: dict[str, type[PlainExperts]] = {"plain": PlainExperts}

__all__ = ["EXPERTS", "Experts", "FieldContext", "PlainExperts"]
