"""Scores of a sweep's trials by the value of one configuration key: mean and spread of each group."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from moedsr.config_file import did_you_mean
from moedsr.errors import InputError
from moedsr.evaluation.scores import BASELINES
from moedsr_platform.display.seed_means import SEED
from moedsr_platform.display.tables import NOTHING, number

if TYPE_CHECKING:
    from mlflow.entities import Run

SCORES = (
    ("IoU", "iou", 3),
    ("Chamfer", "chamfer", 4),
    ("normals", "normal_consistency", 3),
)


@dataclass(frozen=True)
class GroupMetric:
    """One metric over the trials of a group."""

    head: str
    digits: int
    values: tuple[float, ...]

    @property
    def mean_text(self) -> str:
        return number(float(np.mean(self.values)), self.digits) if self.values else NOTHING

    @property
    def spread_text(self) -> str:
        return number(float(np.std(self.values, ddof=1)), self.digits) if len(self.values) > 1 else NOTHING


@dataclass(frozen=True)
class ScoreGroup:
    """The trials that have one value of a key."""

    value: str
    trials: int
    metrics: tuple[GroupMetric, ...]
    also_varied: tuple[str, ...]  # keys besides the seed that differ among them


def group_scores(trials: Sequence["Run"], key: str) -> list[ScoreGroup]:
    """By value of the key, numbers ascending, else best IoU first; the baselines follow.

    Raises:
        InputError: no trial was validated, or none has such a key.
    """
    scored = [run for run in trials if "val/iou" in run.data.metrics]
    if not scored:
        raise InputError("no trial of this sweep was validated yet")
    keys = sorted({known for run in scored for known in run.data.params})
    if key not in keys:
        raise InputError(f"the trials have no parameter {key!r}{did_you_mean(key, keys)}")
    values = list(dict.fromkeys(run.data.params.get(key, NOTHING) for run in scored))
    groups = [_group(value, [run for run in scored if run.data.params.get(key, NOTHING) == value]) for value in values]
    groups.sort(key=_order)
    present = [name for name in BASELINES if any(f"{name}/iou" in run.data.metrics for run in scored)]
    return groups + [ScoreGroup(name, len(scored), _metrics(scored, name), ()) for name in present]


def _order(group: ScoreGroup) -> tuple[int, float]:
    try:
        return (0, float(group.value))
    except ValueError:
        return (1, -float(np.mean(group.metrics[0].values)))


def _group(value: str, runs: Sequence["Run"]) -> ScoreGroup:
    varied = tuple(
        key
        for key in sorted({key for run in runs for key in run.data.params})
        if key != SEED and len({run.data.params.get(key) for run in runs}) > 1
    )
    return ScoreGroup(value, len(runs), _metrics(runs, "val"), varied)


def _metrics(runs: Sequence["Run"], prefix: str) -> tuple[GroupMetric, ...]:
    def of(metric: str) -> tuple[float, ...]:
        name = f"{prefix}/{metric}"
        return tuple(run.data.metrics[name] for run in runs if name in run.data.metrics)

    scores = tuple(GroupMetric(head, digits, of(metric)) for head, metric, digits in SCORES)
    return (*scores, GroupMetric("gap closed", 2, of("gap_closed")))
