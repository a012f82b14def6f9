"""What is known of every trial: the rows of a sweep's table, saved for who wants to read them."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, Self

from moedsr_platform.display.seed_means import SEED, by_point, mean_text
from moedsr_platform.sweep_file.search_space import describe

if TYPE_CHECKING:
    from moedsr_platform.sweep_file.schema import SweepFile

ENDED = ("COMPLETE", "PRUNED", "FAIL")
COLUMNS = ("val/iou", "naive/iou", "oracle/iou", "val/gap_closed")


@dataclass
class Row:
    """One trial; states as in Optuna: WAITING, RUNNING, COMPLETE, PRUNED, FAIL."""

    trial_id: str
    number: int
    params: dict[str, Any]
    state: str = "WAITING"
    step: int = 0
    validated: int = 0  # step of the last validation
    best_step: int | None = None
    best: dict[str, float] = field(default_factory=dict)  # all metrics of the best validation
    checkpoint: str | None = None  # of the best validation
    reason: str | None = None


class Board:
    """The rows of a sweep, in the order in which the searcher gave them."""

    def __init__(
        self,
        *,
        metric: str,
        mode: str,
        total: int,
        steps: int,
        memorised: bool = False,
        second: tuple[str, str] | None = None,
    ) -> None:
        self.memorised = memorised  # whether the frames that are scored are those that were trained on
        self.second = second  # metric and mode of what the objective is weighed against
        self.metric = metric
        self.mode = mode
        self.sign = 1.0 if mode == "max" else -1.0
        self.total = total
        self.steps = steps
        self.rows: dict[str, Row] = {}

    @classmethod
    def of(cls, sweep: "SweepFile") -> Self:
        """Of a sweep that has no trial yet."""
        return cls(
            metric=sweep.objective.metric,
            mode=sweep.objective.mode,
            total=sweep.points * sweep.seeds,
            steps=sweep.base.training.steps,
            memorised=sweep.base.evaluation.scope == "trained",
            second=(sweep.objectives[1].metric, sweep.objectives[1].mode) if len(sweep.objectives) > 1 else None,
        )

    def ask(self, trial_id: str, params: Mapping[str, Any]) -> Row:
        """The searcher gave a trial; it waits for its resources."""
        return self.rows.setdefault(trial_id, Row(trial_id, len(self.rows) + 1, dict(params)))

    def start(self, trial_id: str, params: Mapping[str, Any]) -> Row:
        """A trial begins, or goes on after an interruption."""
        row = self.ask(trial_id, params)
        row.state, row.reason = "RUNNING", None
        return row

    def report(self, trial_id: str, step: int, metrics: Mapping[str, float], checkpoint: str | None) -> bool:
        """Takes a report in; True when it is the trial's best validation so far."""
        row = self.rows[trial_id]
        row.step = max(row.step, step)
        value = metrics.get(self.metric)
        if value is None or value != value:
            return False
        row.validated = max(row.validated, step)
        if row.best and self.sign * value <= self.sign * row.best[self.metric]:
            return False
        row.best, row.best_step = dict(metrics), step
        row.checkpoint = checkpoint or row.checkpoint
        return True

    def end(self, trial_id: str, failure: str | None) -> Row:
        """A trial ends: failed, stopped early, or complete."""
        row = self.rows[trial_id]
        row.reason = failure
        row.state = "FAIL" if failure else "COMPLETE" if row.step >= self.steps else "PRUNED"
        if row.state == "PRUNED":
            row.reason = f"stopped early at step {row.step}, behind the others"
        return row

    @property
    def best(self) -> Row | None:
        """The best trial of the best point that left a checkpoint: one lucky seed does not make a point the best."""
        kept = ([row for row in point if row.checkpoint] for point in self.points)
        rows = next((rows for rows in kept if rows), [])
        return max(rows, key=lambda row: self.sign * row.best[self.metric], default=None)

    @property
    def left(self) -> list[Row]:
        """Trials that were given and have not ended."""
        return [row for row in self.rows.values() if row.state not in ENDED]

    @property
    def points(self) -> list[list[Row]]:
        """The validated trials that did not fail, those that differ in their seed alone together, best mean first."""
        rows = [row for row in self.rows.values() if row.best and row.state != "FAIL"]
        groups = by_point(rows, lambda row: row.params)
        return sorted(groups, key=lambda group: -self.sign * self._mean(group, self.metric))

    @property
    def front(self) -> list[list[Row]]:
        """Of two objectives, the points that no other beats in one without losing in the other, by the first."""
        if self.second is None:
            return []
        other, mode = self.second
        sign = 1.0 if mode == "max" else -1.0
        points = [point for point in self.points if all(other in row.best for row in point)]
        worth = [(self.sign * self._mean(point, self.metric), sign * self._mean(point, other)) for point in points]
        front: list[list[Row]] = []
        last = (math.inf, -math.inf)
        for place in sorted(range(len(points)), key=lambda place: worth[place], reverse=True):
            if worth[place][1] > last[1] or worth[place] == last:
                front.append(points[place])
                last = worth[place]
        return front

    @staticmethod
    def _mean(point: Sequence[Row], name: str) -> float:
        return fmean(row.best[name] for row in point)

    def seed_rows(self) -> list[list[str]]:
        """Cells of each point: parameters, its trials, and mean ± std of the scores; none without seeds."""
        if all(len(group) == 1 for group in self.points):
            return []
        return [
            [
                describe({key: value for key, value in group[0].params.items() if key != SEED}) or "-",
                _count(group),
                *(_mean_text(group, name) for name in self.scores),
            ]
            for group in self.points
        ]

    @property
    def scores(self) -> list[str]:
        """Names of the metrics that are shown."""
        return [*self._extra, *COLUMNS]

    @property
    def _extra(self) -> list[str]:
        """Objectives that the usual columns lack."""
        names = [self.metric, *([self.second[0]] if self.second else [])]
        return [name for name in names if name not in COLUMNS]

    @property
    def unfinished(self) -> bool:
        """Whether trials are still to be run."""
        return len(self.rows) < self.total or bool(self.left)

    @property
    def done(self) -> float:
        """Fraction of the work behind us; an ended trial counts in full."""
        parts = [1.0 if row.state in ENDED else row.step / self.steps for row in self.rows.values()]
        return min(1.0, sum(parts) / self.total)

    def header(self) -> list[str]:
        """Column names of ``cells``."""
        names = [name.removeprefix("val/") if name == "val/gap_closed" else name for name in COLUMNS]
        return ["trial", "state", "parameters", "step", *self._extra, *names]

    def cells(self, row: Row) -> list[str]:
        """One row as text."""
        numbers = [f"{row.best[name]:.{_digits(name)}f}" if name in row.best else "-" for name in self.scores]
        return [str(row.number), row.state, describe(row.params) or "-", f"{row.step}/{self.steps}", *numbers]

    def markdown(self) -> str:
        """The result table for the tracking store."""
        lines = [
            self.header(),
            ["---"] * len(self.header()),
            *(self.cells(row) for row in self.rows.values()),
        ]
        if found := self.seed_rows():
            heads = ["mean ± std over seeds", "trials", *self.scores]
            lines = [heads, ["---"] * len(heads), *found, [], *lines]
        return "\n".join("| " + " | ".join(line) + " |" if line else "" for line in lines) + "\n"

    def save(self, path: Path) -> None:
        """Writes the rows, atomically."""
        temporary = path.with_suffix(".tmp")
        rows = [asdict(row) for row in self.rows.values()]
        temporary.write_text(json.dumps(rows, indent=1), encoding="utf-8")
        temporary.replace(path)


def _count(group: Sequence[Row]) -> str:
    """``3``, or ``3, 1 stopped early``: what that one had reached is in the mean as well."""
    stopped = sum(row.state == "PRUNED" for row in group)
    return f"{len(group)}" + (f", {stopped} stopped early" if stopped else "")


def _mean_text(group: Sequence[Row], name: str) -> str:
    return mean_text([row.best[name] for row in group if name in row.best], _digits(name))


def _digits(name: str) -> int:
    """Of a metric, behind the point: none for what is counted."""
    return 0 if name.endswith("parameters") else 4


def best_line(board: Board) -> str:
    """``best so far: trial 3, val/iou 0.7123 at step 400 (count=8 …)``."""
    best = board.best
    if best is None:
        return "best so far: none yet"
    value = f"{best.best[board.metric]:.4f}"
    return f"best so far: trial {best.number}, {board.metric} {value} at step {best.best_step}"
