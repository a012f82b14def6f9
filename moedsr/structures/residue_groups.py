"""Residues of a file's first model, gathered from wherever their atoms stand."""

import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from moedsr.structures.residues import is_amino_acid
from moedsr.structures.topologies import AtomRecord, Topology

logger = logging.getLogger(__name__)

_BACKBONE = frozenset({"N", "CA", "C"})
_LONGEST_PEPTIDE_BOND = 1.8  # Å
_VIRTUAL_SITE = re.compile(r"M[A-Z0-9]*|LP[A-Z0-9]*")  # GROMACS's mass centres, lone pairs


def residue_groups(path: Path, topology: Topology) -> list[list[AtomRecord]]:
    """Atoms by residue, in the order of their chains; virtual sites are left out, with a warning.

    A modified residue behind its chain's end stands where its peptide bonds place it.
    """
    groups = _gather(path, topology.records)
    return _in_chain_order(groups, _attached(groups) if topology.has_positions else {})


def is_protein(residue: Sequence[AtomRecord]) -> bool:
    """Whether a residue belongs to a protein chain: an amino acid by name, or by its backbone."""
    first = residue[0]
    if first.hetero and first.after_end:
        return False  # a free amino acid among the ligands is no part of the chain
    if is_amino_acid(first.residue_name) and not first.hetero:
        return True
    return _has_backbone(residue)


def _gather(path: Path, records: Sequence[AtomRecord]) -> list[list[AtomRecord]]:
    """Atoms by residue, wherever in the file they stand; virtual sites are left out, and said.

    Some tools write all hydrogens, side chains or second locations after the rest. A number that comes again is
    another residue where its name differs or its backbone is there already.
    """
    groups: list[list[AtomRecord]] = []
    latest: dict[tuple[str, str], list[AtomRecord]] = {}
    held: dict[int, set[tuple[str, str]]] = {}
    sites: list[str] = []
    for record in records:
        if is_amino_acid(record.residue_name) and record.element is None and _VIRTUAL_SITE.fullmatch(record.name):
            sites.append(record.name)
            continue
        key, atom = (record.chain, record.residue_id), (record.name, record.alternate)
        group = latest.get(key)
        if group is None or _begins_another(record, group, held[id(group)]):
            group = latest[key] = []
            groups.append(group)
            held[id(group)] = set()
        group.append(record)
        held[id(group)].add(atom)
    if sites:
        logger.warning("%s: left out: %d virtual sites (%s)", path, len(sites), ", ".join(dict.fromkeys(sites)))
    return groups


def _begins_another(record: AtomRecord, group: list[AtomRecord], held: set[tuple[str, str]]) -> bool:
    if record.name in _BACKBONE and (record.name, record.alternate) in held:
        return True
    return record.residue_name != group[0].residue_name and not record.alternate


def _attached(groups: list[list[AtomRecord]]) -> dict[int, int]:
    """Modified residues behind their chain's end to the residue of that chain they are bonded to by a peptide bond.

    Values count places: the residue stands right before the group of that number.
    """
    late = [i for i, group in enumerate(groups) if group[0].hetero and group[0].after_end and _has_backbone(group)]
    if not late:
        return {}
    chain = [i for i, group in enumerate(groups) if i in late or is_protein(group)]
    ends = {name: {i: _first(groups[i], name) for i in chain} for name in ("N", "C")}
    before: dict[int, int] = {}
    for i in late:
        for j in chain:
            if groups[j][0].chain != groups[i][0].chain or i == j:
                continue
            if _bonded(ends["C"][j], ends["N"][i]):
                before[i] = j + 1
            elif _bonded(ends["C"][i], ends["N"][j]):
                before.setdefault(i, j)
    return before


def _in_chain_order(groups: list[list[AtomRecord]], attached: dict[int, int]) -> list[list[AtomRecord]]:
    """The groups with the attached ones at their places, no longer told apart from the chain."""
    moved: dict[int, list[int]] = {}
    for i, place in attached.items():
        moved.setdefault(place, []).append(i)
    ordered: list[list[AtomRecord]] = []

    def put(place: int) -> None:
        for i in moved.pop(place, ()):
            ordered.append([replace(record, after_end=False) for record in groups[i]])
            put(i + 1)  # another one bonded to this one

    for place, group in enumerate(groups):
        put(place)
        if place not in attached:
            ordered.append(group)
    put(len(groups))
    return ordered


def _has_backbone(group: Sequence[AtomRecord]) -> bool:
    return {record.name for record in group} >= _BACKBONE


def _first(group: Sequence[AtomRecord], name: str) -> AtomRecord | None:
    return next((record for record in group if record.name == name), None)


def _bonded(carbon: AtomRecord | None, nitrogen: AtomRecord | None) -> bool:
    if carbon is None or nitrogen is None:
        return False
    return bool(np.linalg.norm(np.subtract(carbon.position, nitrogen.position)) < _LONGEST_PEPTIDE_BOND)
