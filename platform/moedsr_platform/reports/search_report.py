"""What a search has found out, from its MLflow runs alone: its points, and which keys mattered (fANOVA)."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moedsr.errors import InputError
from moedsr_platform.display.seed_means import SEED
from moedsr_platform.display.tables import Table, number
from moedsr_platform.reports.sweep_results import trials_of
from moedsr_platform.search.samplers import experimental
from moedsr_platform.sweep_file.loading import load_sweep
from moedsr_platform.sweep_file.schema import Objective, SweepFile
from moedsr_platform.tracking.run_names import STATE_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from moedsr_platform.sweep_file.search_space import Domain

FEWEST = 4
"""Points below which nothing can be said of any key."""
TREES = 64


@dataclass(frozen=True)
class TriedPoint:
    """One point of a search, its seeds taken together.

    Attributes:
        values: of the searched keys that were active.
        objectives: mean over the seeds of the best validation, one an objective.
        steps: optimiser steps that it took, over all seeds.
        stopped: whether a trial of it was stopped early.
    """

    values: Mapping[str, Any]
    objectives: tuple[float, ...]
    steps: int
    stopped: bool


@dataclass(frozen=True)
class SearchReport:
    """The points of a search, in the order in which they began."""

    name: str
    sweep: SweepFile
    points: tuple[TriedPoint, ...]

    @classmethod
    def of(cls, client: "MlflowClient", parent: "Run") -> "SearchReport":
        """Reads a sweep's runs.

        Raises:
            InputError: the sweep searched nothing, or too few of its points were validated.
        """
        with tempfile.TemporaryDirectory() as folder:
            try:
                path = Path(client.download_artifacts(parent.info.run_id, "sweep.yaml", folder))
            except Exception as error:
                raise InputError(f"sweep {parent.info.run_name}: its run holds no sweep.yaml") from error
            sweep = load_sweep(path)
        name = parent.info.run_name or parent.info.run_id
        if not sweep.search:
            raise InputError(f"sweep {name} searched nothing: all of its trials have one configuration")
        groups: dict[tuple[tuple[str, Any], ...], list[tuple[tuple[float, ...], int, bool]]] = {}
        for run in sorted(trials_of(client, parent), key=lambda run: run.info.start_time):
            best = _best(client, run, sweep.objectives)
            if best is not None and run.data.tags.get(STATE_TAG) != "FAIL":
                key = tuple(_values(run.data.params, sweep.search).items())
                groups.setdefault(key, []).append((*best, run.data.tags.get(STATE_TAG) == "PRUNED"))
        points = tuple(
            TriedPoint(
                dict(key),
                tuple(sum(column) / len(trials) for column in zip(*(trial[0] for trial in trials), strict=True)),
                sum(trial[1] for trial in trials),
                any(trial[2] for trial in trials),
            )
            for key, trials in groups.items()
        )
        if len(points) < FEWEST:
            raise InputError(
                f"sweep {name} has {len(points)} validated points, but which keys matter shows from {FEWEST} on"
            )
        return cls(name, sweep, points)

    def importances(self) -> dict[str, float]:
        """Share of the variance of the first objective that each key explains by itself, largest first.

        A key under a condition is judged among the points where it is active.
        """
        always = [key for key, domain in self.sweep.search.items() if not domain.when]
        found = _fanova(self.points, self.sweep, always)
        for key, domain in self.sweep.search.items():
            if domain.when:
                among = [point for point in self.points if key in point.values]
                # the keys that the condition names may hold one value only among them
                found[key] = _fanova(among, self.sweep, [*always, key]).get(key, 0.0) if len(among) >= FEWEST else 0.0
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    @property
    def best(self) -> TriedPoint:
        """The best in the first objective."""
        return max(self.points, key=lambda point: self.sweep.objective.sign * point.objectives[0])

    @property
    def front(self) -> list[TriedPoint]:
        """The points that no other beats in one objective without losing in the other, by the first."""
        signs = [objective.sign for objective in self.sweep.objectives]

        def beaten(point: TriedPoint) -> bool:
            mine = [sign * value for sign, value in zip(signs, point.objectives, strict=True)]
            for other in self.points:
                theirs = [sign * value for sign, value in zip(signs, other.objectives, strict=True)]
                if theirs != mine and all(a >= b for a, b in zip(theirs, mine, strict=True)):
                    return True
            return False

        kept = [point for point in self.points if not beaten(point)]
        return sorted(kept, key=lambda point: -signs[0] * point.objectives[0])

    def table(self) -> Table:
        """Importances, with the best point's values."""
        rows = tuple(
            (key, number(share, 2), _text(self.best.values[key]) if key in self.best.values else "-")
            for key, share in self.importances().items()
        )
        stopped = sum(point.stopped for point in self.points)
        objective = self.sweep.objective
        under = any(domain.when for domain in self.sweep.search.values())
        conditional = ", and a key under a condition is judged among the points where it was searched" if under else ""
        note = (
            f"fANOVA: share of the variance of {objective.metric} that a key explains by itself; the rest lies in keys "
            f"together{conditional}. From {len(self.points)} points"
            + (f", of which {stopped} were stopped early and count with what they had reached" if stopped else "")
            + ("; below some 30 points such shares are rough." if len(self.points) < 30 else ".")
            + f" Best: {objective.metric} {self.best.objectives[0]:.4f}."
        )
        return Table(f"Importance of the keys of {self.name}", ("key", "importance", "best point"), rows, note)


def _fanova(points: Sequence[TriedPoint], sweep: SweepFile, keys: Sequence[str]) -> dict[str, float]:
    import optuna
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    varied = [key for key in keys if len({point.values[key] for point in points}) > 1]
    if len({point.objectives[0] for point in points}) < 2 or not varied:
        return dict.fromkeys(keys, 0.0)
    study = optuna.create_study(direction="maximize" if sweep.objective.mode == "max" else "minimize")
    for point in points:
        study.add_trial(
            optuna.trial.create_trial(
                params={key: point.values[key] for key in varied},
                distributions={key: sweep.search[key].distribution() for key in varied},
                value=point.objectives[0],
            )
        )
    evaluator = FanovaImportanceEvaluator(n_trees=TREES, seed=0)
    with experimental():
        shares = get_param_importances(study, evaluator=evaluator, params=varied, normalize=False)
    return {key: float(shares.get(key, 0.0)) for key in keys}


def _best(client: "MlflowClient", run: "Run", objectives: Sequence[Objective]) -> tuple[tuple[float, ...], int] | None:
    """Values at the validation that was best in the first objective, and steps taken; None: never validated."""
    histories = []
    for objective in objectives:
        points = client.get_metric_history(run.info.run_id, objective.metric)
        histories.append({point.step: point.value for point in points})
    steps = [step for step in histories[0] if all(step in history for history in histories)]
    if not steps:
        return None
    at = max(steps, key=lambda step: objectives[0].sign * histories[0][step])
    losses = client.get_metric_history(run.info.run_id, "train/loss")
    return tuple(history[at] for history in histories), max([*steps, *(point.step for point in losses)])


def _values(params: Mapping[str, str], search: "Mapping[str, Domain]") -> dict[str, Any]:
    """The searched values of a run, whose parameters are text, where they are active."""
    found: dict[str, Any] = {}
    for key, domain in search.items():
        if key == SEED or not domain.active(found) or key not in params:
            continue
        if domain.listed:
            found[key] = next((value for value in domain.values if _text(value) == params[key]), domain.values[0])
        else:
            low, high = (float(end) for end in domain.values if isinstance(end, int | float))
            value = min(max(float(params[key]), low), high)  # text has six digits
            found[key] = int(value) if domain.int is not None else value
    return found


def _text(value: Any) -> str:
    """As the tracking store holds a parameter."""
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
