"""How many optimiser steps a search needs to be as good as the paper's random search.

Replayed on learning_curves.csv, the learning curves of real trainings (learning_curves.py made it), with the very
searcher and early stopping of a sweep. The paper's search trains 30 random points to the end. The others may spend as
many steps in all; the figure is the share of them after which their best validation is as good as its best. Four trials
run at a time, each from one validation to the next in turn.
"""

import csv
import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from moedsr_platform.scheduler import EarlyStopping
from moedsr_platform.searcher import SweepSearch
from moedsr_platform.sweep_file import SweepFile

CURVES = Path(__file__).with_name("learning_curves.csv")
POINTS, AT_ONCE = 30, 4
OTHER = 1000  # the paper's search has seeds of its own: TPE begins with the points of a random search of its seed
ASHA = {"asha": {"grace_steps": 12, "reduction_factor": 3}}
SEARCHES = {
    "random + ASHA": ("random", ASHA),
    "tpe": ("tpe", None),
    "tpe + ASHA": ("tpe", ASHA),
    "multivariate_tpe": ("multivariate_tpe", None),
    "multivariate_tpe + ASHA": ("multivariate_tpe", ASHA),
}

Curve = dict[int, float]


class Table:
    """Learning curves by point."""

    def __init__(self, path: Path) -> None:
        with path.open(encoding="utf-8", newline="") as file:
            head, *rows = csv.reader(file)
        self.keys = [name for name in head if not name.isdigit()]
        self.validations = [int(name) for name in head if name.isdigit()]
        self._curves: dict[tuple[float, ...], Curve] = {}
        for row in rows:
            numbers = [float(cell) for cell in row]
            place = tuple(numbers[: len(self.keys)])
            self._curves[place] = dict(zip(self.validations, numbers[len(self.keys) :], strict=True))
        columns = zip(*self._curves, strict=True)
        self.levels = {key: sorted(set(column)) for key, column in zip(self.keys, columns, strict=True)}

    def search(self) -> dict[str, Any]:
        """The space of a sweep file."""
        return {
            key: {"choice": [int(level) if key == "expert.count" else level for level in levels]}
            for key, levels in self.levels.items()
        }

    def curve(self, point: dict[str, Any]) -> Curve:
        """Of one point."""
        return self._curves[tuple(float(point[key]) for key in self.keys)]


def replay(
    table: Table, sampler: str, scheduler: object, seed: int, budget: int, folder: Path
) -> list[tuple[int, float]]:
    """Steps spent so far and best score so far, at every validation until the budget is spent."""
    last = table.validations[-1]
    sweep = SweepFile.model_validate_json(
        json.dumps(
            {
                "name": "replay",
                "base": {"data": {"source": "mini-atlas"}, "training": {"steps": last}},
                "search": table.search(),
                "sampler": sampler,
                "sampler_seed": seed,
                "scheduler": scheduler,
                "trials": 10 * POINTS,
            }
        )
    )
    search = SweepSearch(sweep)
    search.set_max_concurrency(AT_ONCE)
    stopping = EarlyStopping(sweep, folder) if scheduler else None
    running: list[tuple[str, Curve, int]] = []
    spent, best, number = 0, -math.inf, 0
    history = []
    while spent < budget:
        while isinstance(point := search.suggest(f"t{number}"), dict):
            running.append((f"t{number}", table.curve(point), 0))
            number += 1
        if not running:
            break  # every point of the table was tried
        trial, curve, step = running.pop(0)
        at = table.validations[table.validations.index(step) + 1] if step else table.validations[0]
        spent += at - step
        best = max(best, curve[at])
        history.append((spent, best))
        result = {"step": at, "val/iou": curve[at]}
        search.on_trial_result(trial, result)
        if stopping is not None:
            stopping.on_trial_result(None, SimpleNamespace(trial_id=trial), result)
        if at == last or (stopping is not None and trial in stopping.stopped):
            search.on_trial_complete(trial, result)
        else:
            running.append((trial, curve, at))
    return history


@pytest.mark.benchmark
@pytest.mark.parametrize("seeds", [5, 40])
def test_steps_to_the_best_of_the_papers_random_search(seeds: int, tmp_path: Path) -> None:
    table = Table(CURVES)
    budget = POINTS * table.validations[-1]
    aims = [replay(table, "random", None, OTHER + seed, budget, tmp_path)[-1][1] for seed in range(seeds)]
    print(f"\n{seeds} seeds, {budget} steps each; best of random search: IoU {np.mean(aims):.4f} ± {np.std(aims):.4f}")
    print("search                    share of the steps: median   mean*   not reached   best IoU in the end")
    for name, (sampler, scheduler) in SEARCHES.items():
        shares, ends = [], []
        for seed, aim in enumerate(aims):
            folder = tmp_path / f"{name}-{seed}"
            folder.mkdir()
            history = replay(table, sampler, scheduler, seed, budget, folder)
            shares.append(next((spent / budget for spent, best in history if best >= aim), math.inf))
            ends.append(history[-1][1])
        missed = sum(math.isinf(share) for share in shares)
        mean = np.mean([min(share, 1.0) for share in shares])
        print(f"{name:26} {np.median(shares):26.2f} {mean:7.2f} {missed:13d} {np.mean(ends):21.4f}")
    print("* a search that does not reach it counts with all of its steps")
