"""One report of a trial: as a worker makes it, as its checkpoint keeps it, and as Tune carries it to the driver."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

STEP, HISTORY, CHECKPOINT, ENDED, STARTED = "step", "history", "checkpoint", "ended", "started"
FAILURE, TRACEBACK, UNSAVED = "failure", "traceback", "unsaved"
"""Keys of the result that Tune hears: of a report; of a trial that failed; of one that could not save itself."""

REPORTS = "reports.jsonl"
"""In a checkpoint: every report up to it, so that one that the driver never heard can be made again."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """One report.

    Attributes:
        step: optimiser step.
        metrics: what was measured at this step.
        history: metrics of every step since the report before.
        done: whether the training ended with it.
    """

    step: int
    metrics: dict[str, float]
    history: list[tuple[int, dict[str, float]]]
    done: bool = False

    def line(self) -> str:
        """The report as a line of a file."""
        return json.dumps([self.step, self.metrics, self.history, self.done]) + "\n"

    @classmethod
    def of(cls, line: str) -> Self:
        step, metrics, history, done = json.loads(line)
        return cls(step=step, metrics=metrics, history=[(at, values) for at, values in history], done=done)

    def result(self, checkpoint: str | None) -> dict[str, Any]:
        """What Tune carries; ``checkpoint``: the address of the one that was kept at this step."""
        return {
            STEP: self.step,
            **self.metrics,
            HISTORY: [[step, values] for step, values in self.history],
            ENDED: self.done,
            **({CHECKPOINT: checkpoint} if checkpoint else {}),
        }


def is_validated(metrics: Mapping[str, Any], metric: str) -> bool:
    """Whether a report carries the objective."""
    return not math.isnan(metrics.get(metric, math.nan))


def read_reports(checkpoint: Path) -> list[Report]:
    """All reports up to a checkpoint, in order."""
    place = checkpoint / REPORTS
    return [Report.of(line) for line in place.read_text(encoding="utf-8").splitlines()] if place.exists() else []


def write_reports(checkpoint: Path, reports: Iterable[Report]) -> None:
    """Put them beside the weights."""
    (checkpoint / REPORTS).write_text("".join(report.line() for report in reports), encoding="utf-8")


def joined(reports: list[Report], metric: str) -> list[Report]:
    """The same in fewer reports: there may be thousands without a validation, each is joined to the next one."""
    result, history = [], []
    for place, report in enumerate(reports, start=1):
        history += report.history
        if is_validated(report.metrics, metric) or place == len(reports):
            result.append(replace(report, history=history))
            history = []
        else:
            history.append((report.step, report.metrics))
    return result
