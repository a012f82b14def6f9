"""Kinds of experts, one file each, behind the field contract."""

from moedsr.models.experts._base import Experts, FieldContext
from moedsr.models.experts.anchored import AnchoredExperts
from moedsr.models.experts.dsr import DSRExperts
from moedsr.models.experts.equivariant import EquivariantExperts
from moedsr.models.experts.plain import PlainExperts

EXPERTS: dict[str, type[Experts]] = {
    "plain": PlainExperts,
    "equivariant": EquivariantExperts,
    "anchored": AnchoredExperts,
    "dsr": DSRExperts,
}

__all__ = [
    "EXPERTS",
    "AnchoredExperts",
    "DSRExperts",
    "EquivariantExperts",
    "Experts",
    "FieldContext",
    "PlainExperts",
]
