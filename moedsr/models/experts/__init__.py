"""Kinds of experts, one file each, behind the field contract."""

from moedsr.models.experts._base import Experts, FieldContext
from moedsr.models.experts.anchored import AnchoredExperts
from moedsr.models.experts.equivariant import EquivariantExperts
from moedsr.models.experts.plain import PlainExperts

EXPERTS: dict[str, type[PlainExperts] | type[EquivariantExperts] | type[AnchoredExperts]] = {
    "plain": PlainExperts,
    "equivariant": EquivariantExperts,
    "anchored": AnchoredExperts,
}

__all__ = ["EXPERTS", "AnchoredExperts", "EquivariantExperts", "Experts", "FieldContext", "PlainExperts"]
