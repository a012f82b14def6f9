"""Which expert serves which protein: table, statistics and pictures of a checkpoint's routing (Fig. 3)."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from moedsr.errors import InputError
from moedsr.pictures import write_expert_map, write_load_over_time

Loads = Mapping[int, Sequence[tuple[int, float]]]
"""For each expert its (optimiser step, share of the load) pairs."""


@dataclass(frozen=True)
class Routing:
    """Gates of every protein at one step.

    Attributes:
        step: optimiser step.
        names: proteins.
        splits: train, val or test, one a protein.
        gates: (proteins, experts), non-negative, rows sum to one.
    """

    step: int
    names: tuple[str, ...]
    splits: tuple[str, ...]
    gates: np.ndarray

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
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: not a routing table ({type(error).__name__}: {error})") from error

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
            "specialisation": float(np.clip((of_load - of_gates) / largest, 0, 1)) if largest else 0.0,
        }

    def csv(self) -> str:
        """One row a protein: name, split, chosen expert, all gates."""
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["protein", "split", "expert", *(f"gate_{expert}" for expert in range(self.gates.shape[1]))])
        for name, split, row in zip(self.names, self.splits, self.gates, strict=True):
            table.writerow([name, split, int(row.argmax()), *(f"{gate:.6f}" for gate in row)])
        return text.getvalue()

    def write(self, folder: Path, loads: Loads) -> None:
        """``assignment.csv``, ``statistics.json``, ``experts.png`` and, where known, ``load.png``."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "assignment.csv").write_text(self.csv(), encoding="utf-8")
        (folder / "statistics.json").write_text(json.dumps(self.statistics(), indent=2), encoding="utf-8")
        labels = [f"{name} ({split})" for name, split in zip(self.names, self.splits, strict=True)]
        write_expert_map(folder / "experts.png", names=labels, gates=self.gates)
        if loads:
            write_load_over_time(folder / "load.png", loads=loads)


def _entropy(shares: np.ndarray) -> float:
    """Nats; zero shares count nothing."""
    positive = shares[shares > 0]
    return float(-(positive * np.log(positive)).sum())
