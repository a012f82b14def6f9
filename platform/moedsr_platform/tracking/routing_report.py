"""Which expert serves which protein: table, statistics and pictures of a checkpoint's routing."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from moedsr.errors import InputError
from moedsr.evaluation.specialisation import Association, associations, holm
from moedsr.pictures.routing import Points, write_expert_map, write_load_over_time, write_specialisation

NUMBERS: Mapping[str, str] = {"residues": "residues", "helix": "helix fraction", "strand": "strand fraction"}
"""What a routing table says of its proteins beside their sequence, and what it is called."""

IDENTITY = "sequence identity"
ALIGNED_PROTEINS = 120
"""At most so many proteins are aligned pair by pair, evenly taken; 7,140 alignments are seconds."""


@dataclass(frozen=True, kw_only=True)
class RoutingHistory:
    """How routing went while training."""

    loads: Mapping[int, Points] = field(default_factory=dict)  # share of each expert
    entropy: Points = ()


@dataclass(frozen=True, kw_only=True)
class Routing:
    """Gates of every protein at one step, and what is known of the proteins.

    Attributes:
        step: optimiser step.
        names: proteins.
        splits: train, val or test, one a protein.
        gates: (proteins, experts), non-negative, rows sum to one.
        sequences: one letter a residue; "" where unknown.
        numbers: by property, one a protein, NaN where unknown.
        classes: by property, one a protein, "" where unknown.
    """

    step: int
    names: tuple[str, ...]
    splits: tuple[str, ...]
    gates: np.ndarray
    sequences: tuple[str, ...] = ()
    numbers: Mapping[str, Sequence[float]] = field(default_factory=dict)
    classes: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> "Routing":
        """From a checkpoint's ``routing.json``.

        Raises:
            InputError: unreadable, or a protein's gates are not as many as there are experts.
        """
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            experts, rows = int(data["experts"]), data["proteins"]
            gates = np.array([row["gates"] for row in rows], dtype=float).reshape(len(rows), experts)
            return cls(
                step=int(data["step"]),
                names=tuple(str(row["name"]) for row in rows),
                splits=tuple(str(row["split"]) for row in rows),
                gates=gates,
                sequences=tuple(str(row.get("sequence", "")) for row in rows),
                numbers={title: [float(row.get(key, np.nan)) for row in rows] for key, title in NUMBERS.items()},
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path}: not a routing table ({type(error).__name__}: {error})") from error

    @cached_property
    def experts(self) -> list[int]:
        """The first expert of each protein."""
        return [int(expert) for expert in self.gates.argmax(1)] if self.names else []

    @cached_property
    def identity(self) -> tuple[list[int], np.ndarray]:
        """Places of the proteins that were aligned, and their (n, n) pairwise sequence identity."""
        known = [place for place, sequence in enumerate(self.sequences) if sequence]
        if len(known) > ALIGNED_PROTEINS:
            known = [known[place] for place in np.linspace(0, len(known) - 1, ALIGNED_PROTEINS).round().astype(int)]
        return known, _identity(tuple(self.sequences[place] for place in known))

    @cached_property
    def associations(self) -> list[Association]:
        """What the choice of expert goes together with; see ``moedsr.evaluation.specialisation``."""
        aligned, identity = self.identity
        everything = associations(self.experts, numbers=self.numbers, classes=self.classes)
        chosen = [self.experts[place] for place in aligned]
        by_sequence = associations(chosen, similarities={IDENTITY: identity})
        return holm([*by_sequence, *everything])

    def statistics(self) -> dict[str, Any]:
        """How evenly the experts are used, and how much the protein decides which one.

        ``load`` is the mean gate of each expert, ``effective_experts`` = exp(entropy of the load).
        ``specialisation`` is the mutual information of protein and expert over its largest value: 0 when all
        proteins share one mixture, 1 when every protein has one expert of its own, evenly spread.
        """
        proteins, experts = self.gates.shape
        load = self.gates.mean(0) if proteins else np.zeros(experts)
        of_load = _entropy(load)
        of_gates = float(np.mean([_entropy(row) for row in self.gates])) if proteins else 0.0
        largest = np.log(min(experts, proteins)) if min(experts, proteins) > 1 else 0.0
        return {
            "step": self.step,
            "experts": experts,
            "proteins": proteins,
            "load": [round(float(share), 6) for share in load],
            "max_load": float(load.max(initial=0.0)),
            "effective_experts": float(np.exp(of_load)) if proteins else 0.0,
            "experts_per_protein": float(np.exp(of_gates)) if proteins else 0.0,
            "idle_experts": [expert for expert in range(experts) if load[expert] == 0],
            "specialisation": max(0.0, min(1.0, float((of_load - of_gates) / largest))) if largest else 0.0,
        }

    def csv(self) -> str:
        """One row a protein: name, split, chosen expert, all gates, what is known of it."""
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        known: dict[str, Sequence[float] | Sequence[str]] = {**self.numbers, **self.classes}
        gates = [f"gate_{expert}" for expert in range(self.gates.shape[1])]
        table.writerow(["protein", "split", "expert", *gates, *(name.replace(" ", "_") for name in known)])
        for place, (name, split, row) in enumerate(zip(self.names, self.splits, self.gates, strict=True)):
            facts = [_cell(values[place]) for values in known.values()]
            table.writerow([name, split, self.experts[place], *(f"{gate:.6f}" for gate in row), *facts])
        return text.getvalue()

    def write(self, folder: Path, history: RoutingHistory) -> None:
        """Tables as CSV and JSON, and pictures.

        ``assignment.csv``, ``statistics.json``, ``experts.png``; where known, ``load.png``; where something can be
        tested, ``specialisation.csv`` and ``specialisation.png``.
        """
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "assignment.csv").write_text(self.csv(), encoding="utf-8")
        found = {"associations": [asdict(association) for association in self.associations]}
        (folder / "statistics.json").write_text(json.dumps(self.statistics() | found, indent=2), encoding="utf-8")
        labels = [f"{name} ({split})" for name, split in zip(self.names, self.splits, strict=True)]
        write_expert_map(folder / "experts.png", names=labels, gates=self.gates)
        if history.loads:
            write_load_over_time(folder / "load.png", loads=history.loads, entropy=history.entropy)
        self.write_specialisation(folder)

    def write_specialisation(self, folder: Path) -> None:
        """``specialisation.csv`` and ``specialisation.png``; neither where nothing can be tested."""
        if not self.associations:
            return
        folder.mkdir(parents=True, exist_ok=True)
        rows = [asdict(association) for association in self.associations]
        text = io.StringIO()
        table = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        (folder / "specialisation.csv").write_text(text.getvalue(), encoding="utf-8")
        titles = {
            one.property: f"{one.property}  (p = {one.p_value:.2g}, {one.proteins} proteins)"
            for one in self.associations
        }
        write_specialisation(
            folder / "specialisation.png",
            experts=self.experts,
            numbers=self.numbers,
            classes=self.classes,
            titles=titles,
        )


@lru_cache(maxsize=4)
def _identity(sequences: tuple[str, ...]) -> np.ndarray:
    """The trials of a sweep share their proteins: aligned once."""
    from moedsr.store.sequence_identity import identity_matrix  # a third of a second that most commands need not wait

    return identity_matrix(sequences)


def _entropy(shares: np.ndarray) -> float:
    """Nats; zero shares count nothing."""
    positive = shares[shares > 0]
    return float(-(positive * np.log(positive)).sum())


def _cell(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return "" if np.isnan(value) else f"{value:g}"
