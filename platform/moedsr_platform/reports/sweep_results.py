"""A sweep's result table, from its runs alone: what was tried, how it did, and how doing nothing did."""

from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from moedsr.config_file import did_you_mean
from moedsr.errors import InputError
from moedsr_platform.display.seed_means import SEED, by_point, mean_text
from moedsr_platform.display.tables import Table, number
from moedsr_platform.reports.best_validation import at_best
from moedsr_platform.tracking.run_names import (
    MODE_TAG,
    OBJECTIVE_TAG,
    PARENT_TAG,
    STATE_TAG,
    SWEEP_TAG,
    TRIAL_TAG,
    experiment_name,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

COLUMNS = (
    ("IoU", "val/iou", 3),
    ("naive", "naive/iou", 3),
    ("random", "random/iou", 3),
    ("smoothed", "smoothed/iou", 3),
    ("oracle", "oracle/iou", 3),
    ("gap closed", "val/gap_closed", 2),
    ("Chamfer-L1", "val/chamfer_l1", 4),
    ("normals", "val/normal_consistency", 3),
    ("max load", "routing/max_load", 2),
)
NOTE = (
    "Best first; scores on the validation proteins, at each trial's best validation. naive: the initial structure for "
    "every frame; random: another frame; oracle: the best static surface; gap closed: 0 is doing nothing, 1 all that "
    "can be known."
)


def find_sweep(client: "MlflowClient", name: str | None, experiment: str | None = None) -> "Run":
    """A sweep's run by its id, sweep id or name; without one, the latest.

    Raises:
        InputError: no such sweep; names those there are.
    """
    found = client.get_experiment_by_name(experiment or experiment_name())
    sweeps = [] if found is None else client.search_runs(
        [found.experiment_id], "tags.`moedsr.kind` = 'sweep'", order_by=["start_time DESC"]
    )  # fmt: skip
    for run in sweeps:
        if name is None or name in (run.info.run_id, run.info.run_name, run.data.tags.get(SWEEP_TAG)):
            return run
    if name is not None and find_single(client, name, experiment) is not None:
        raise InputError(f"{name!r} is a single run, with nothing to compare: `moedsr report experts {name}`")
    if not sweeps:
        raise InputError(f"no sweep in {client.tracking_uri}: run `moedsr sweep FILE.yaml` first")
    names = list(dict.fromkeys(run.info.run_name for run in sweeps))
    raise InputError(f"no sweep {name!r}{did_you_mean(str(name), names)}; sweeps: {', '.join(names[:10])}")


def find_single(client: "MlflowClient", name: str | None, experiment: str | None = None) -> "Run | None":
    """The latest run without a sweep above it, of that name where one is given; None where there is none."""
    found = client.get_experiment_by_name(experiment or experiment_name())
    if found is None or "'" in (name or ""):  # MLflow's filters have no way to say it
        return None
    named = "" if name is None else f" AND tags.`{SWEEP_TAG}` = '{name}'"
    runs = client.search_runs(
        [found.experiment_id], f"tags.`moedsr.kind` = 'trial'{named}", order_by=["start_time DESC"]
    )
    return next((run for run in runs if PARENT_TAG not in run.data.tags), None)


def trials_of(client: "MlflowClient", sweep: "Run") -> list["Run"]:
    """Every trial of a sweep with the scores of its best validation, best first; those without a score last."""
    runs: list[Run] = []
    token = None
    while True:
        page = client.search_runs(
            [sweep.info.experiment_id], f"tags.`{PARENT_TAG}` = '{sweep.info.run_id}'", page_token=token
        )
        runs += page
        token = page.token
        if not token:
            break
    objective = sweep.data.tags.get(OBJECTIVE_TAG, "val/iou")
    sign = 1 if sweep.data.tags.get(MODE_TAG, "max") == "min" else -1
    worst = float("inf")
    runs = [at_best(client, run, objective) for run in runs]
    return sorted(runs, key=lambda run: (sign * run.data.metrics.get(objective, sign * worst), run.info.start_time))


def sweep_table(client: "MlflowClient", sweep: "Run") -> Table:
    """One row a trial: what distinguishes it, its scores and the baselines'."""
    trials = trials_of(client, sweep)
    varied = _varied(trials)
    scored = [column for column in COLUMNS if any(column[1] in run.data.metrics for run in trials)]
    rows = tuple(
        (
            run.data.tags.get(TRIAL_TAG, run.info.run_name),
            run.data.tags.get(STATE_TAG, run.info.status).lower(),
            *(_brief(run.data.params.get(key, "")) for key in varied),
            *(number(run.data.metrics.get(metric), digits) for _, metric, digits in scored),
        )
        for run in trials
    )
    heads = ("trial", "state", *(_short(key, varied) for key in varied), *(name for name, _, _ in scored))
    return Table(f"Sweep {sweep.info.run_name}: {len(trials)} trials", heads, rows, NOTE)


def point_table(client: "MlflowClient", sweep: "Run") -> Table | None:
    """One row a point: scores as mean ± std over its seeds, best mean first; None where every point has one trial."""
    objective = sweep.data.tags.get(OBJECTIVE_TAG, "val/iou")
    sign = -1 if sweep.data.tags.get(MODE_TAG, "max") == "min" else 1
    trials = [run for run in trials_of(client, sweep) if objective in run.data.metrics and run.info.status != "FAILED"]
    varied = [key for key in _varied(trials) if key != SEED]
    points = by_point(trials, lambda run: {key: run.data.params.get(key, "") for key in varied})
    if all(len(point) == 1 for point in points):
        return None
    points.sort(key=lambda point: -sign * fmean(run.data.metrics[objective] for run in point))
    scored = [column for column in COLUMNS if any(column[1] in run.data.metrics for run in trials)]
    rows = tuple(
        (
            *(_brief(point[0].data.params.get(key, "")) for key in varied),
            str(len(point)),
            *(
                mean_text([run.data.metrics[metric] for run in point if metric in run.data.metrics], digits)
                for _, metric, digits in scored
            ),
        )
        for point in points
    )
    heads = (*(_short(key, varied) for key in varied), "trials", *(name for name, _, _ in scored))
    note = "Mean ± standard deviation over the seeds of each point; failed trials are left out."
    return Table(f"Sweep {sweep.info.run_name}: {len(points)} points", heads, rows, note)


def _varied(trials: Sequence["Run"]) -> list[str]:
    """Parameters that differ between trials."""
    keys = sorted({key for run in trials for key in run.data.params})
    differ = (key for key in keys if len({run.data.params.get(key) for run in trials}) > 1)
    return [key for key in differ if key != "data.store"]  # named by the settings that it was made with


def _brief(value: str) -> str:
    """A number with the three digits that tell it from others; the run has all of them."""
    try:
        return value if value.lstrip("-").isdigit() else f"{float(value):.3g}"
    except ValueError:
        return value


def _short(key: str, keys: Sequence[str]) -> str:
    """The last part of a key where no other key ends so."""
    last = key.split(".")[-1]
    return last if sum(other.split(".")[-1] == last for other in keys) == 1 else key
