"""Whole sweeps of the kinds that search most: two objectives, conditions, several seeds, median stopping."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import optuna
import pytest

from moedsr_platform.reports.search_report import SearchReport
from moedsr_platform.reports.sweep_results import find_sweep

HERE = Path(__file__).resolve().parent
BASE = """\
name: fake
base:
  data:
    source: {source}
    prepare: {{frames: 4, surface_points: 300, grid_spacing: 1.0, occupancy_grid: 24}}
  training: {{steps: 40, report_every: 10, validate_every: 20}}
search:
  expert.count: {{choice: [2, 4, 6, 8, 10]}}
  router.backbone: {{choice: [q_mpnn, pointnet2]}}
  router.l_max: {{choice: [1, 2], when: {{router.backbone: q_mpnn}}}}
  training.learning_rate: {{loguniform: [0.0005, 0.005]}}
trials: 6
seeds: 2
resources: {{workers: 1, cpus_per_worker: 1, concurrent_trials: 1}}
"""
TWO = """\
sampler: nsga2
objective: [{metric: val/iou, mode: max}, {metric: perf/active_parameters, mode: min}]
"""
MEDIAN = """\
sampler: multivariate_tpe
scheduler: {median: {grace_steps: 20, min_trials: 2}}
"""


def sweep_with(file: Path, environment: dict[str, str], *flags: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, str(HERE / "fake_training.py"), str(file), *flags],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def rows_of(folder: Path) -> list[dict[str, Any]]:
    path = folder / "results" / "sweeps" / "fake" / "trials.json"
    return json.loads(path.read_text()) if path.exists() else []


def interrupted_and_resumed(file: Path, folder: Path, environment: dict[str, str], after: int) -> str:
    """SIGTERM once so many trials have ended, then --resume; what the second session said."""
    first = sweep_with(file, {**environment, "FAKE_SECONDS": "0.03"})
    deadline = time.monotonic() + 600
    while sum(row["state"] in ("COMPLETE", "PRUNED") for row in rows_of(folder)) < after:
        assert first.poll() is None, first.stdout
        assert time.monotonic() < deadline, "no trial ends"
        time.sleep(0.1)
    os.kill(first.pid, signal.SIGTERM)
    said = first.communicate(timeout=180)[0].decode()
    assert first.returncode == 128 + signal.SIGTERM, said
    second = sweep_with(file, environment, "--resume")
    said = second.communicate(timeout=600)[0].decode()
    assert second.returncode == 0, said
    return said


def points_of(rows: list[dict[str, Any]]) -> dict[str, list[int]]:
    """Seeds by point."""
    found: dict[str, list[int]] = {}
    for row in rows:
        params = dict(row["params"])
        seed = params.pop("training.seed")
        found.setdefault(json.dumps(params), []).append(seed)
    return found


def runs_and_report(folder: Path) -> tuple[list[Any], SearchReport]:
    client = mlflow.MlflowClient(f"sqlite:///{folder / 'results' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("moe-dsr")
    assert experiment is not None
    return client.search_runs([experiment.experiment_id]), SearchReport.of(client, find_sweep(client, "fake"))


def study_of(folder: Path) -> list[Any]:
    """The points that were tried, as optuna-dashboard finds them."""
    storage = f"sqlite:///{folder / 'results' / 'sweeps' / 'fake' / 'optuna.db'}"
    trials = optuna.load_study(study_name="fake", storage=storage).trials
    return [trial for trial in trials if "repeats" not in trial.user_attrs]


def test_two_objectives_with_conditions_and_seeds(tmp_path: Path, source: Path, environment: dict[str, str]) -> None:
    file = tmp_path / "fake.yaml"
    file.write_text(BASE.format(source=source) + TWO, encoding="utf-8")
    said = interrupted_and_resumed(file, tmp_path, environment, after=3)
    rows = rows_of(tmp_path)
    assert [row["state"] for row in rows] == ["COMPLETE"] * 12
    points = points_of(rows)
    assert list(points.values()) == [[0, 1]] * 6  # none was tried twice
    for params in map(json.loads, points):
        assert ("router.l_max" in params) == (params["router.backbone"] == "q_mpnn")

    # the study holds each point once, worth the mean of its seeds
    tried = study_of(tmp_path)
    assert [trial.state.name for trial in tried] == ["COMPLETE"] * 6
    for trial, first, second in zip(tried, rows[::2], rows[1::2], strict=True):
        for place, metric in enumerate(("val/iou", "perf/active_parameters")):
            assert trial.values[place] == pytest.approx((first["best"][metric] + second["best"][metric]) / 2)

    # the table shows both objectives and what to choose from, and MLflow says the same
    assert "perf/active_parameters" in said
    tracked, report = runs_and_report(tmp_path)
    assert len(tracked) == 13
    assert {run.info.status for run in tracked} == {"FINISHED"}
    found, known = ([point.objectives for point in report.points], [trial.values for trial in tried])
    np.testing.assert_allclose(found, known)  # both in the order in which they began
    best = max(trial.values[0] for trial in tried)
    assert report.front[0].objectives[0] == pytest.approx(best)
    front = next(line for line in said.splitlines() if line.startswith("none is better in both"))
    assert front.count(" and ") == 1 + len(report.front)  # "both .. and ..", and two seeds a point
    assert "(2 trials)" in said


@pytest.mark.slow
def test_median_stopping_with_conditions_and_seeds(tmp_path: Path, source: Path, environment: dict[str, str]) -> None:
    file = tmp_path / "fake.yaml"
    file.write_text(BASE.format(source=source) + MEDIAN, encoding="utf-8")
    said = interrupted_and_resumed(file, tmp_path, {**environment, "FAKE_SECONDS": "0.05"}, after=4)
    rows = rows_of(tmp_path)
    assert list(points_of(rows).values()) == [[0, 1]] * 6
    states = {row["state"] for row in rows}
    assert states == {"COMPLETE", "PRUNED"}, said  # some are stopped, the best never are
    for row in rows:
        assert (row["state"] == "PRUNED") == (row["step"] < 40)
    assert max(rows, key=lambda row: row["best"]["val/iou"])["state"] == "COMPLETE"
    assert "stopped early at step" in said
    assert "stopped early)" in said
    tracked, report = runs_and_report(tmp_path)
    assert len(tracked) == 13
    assert any(point.stopped for point in report.points)
    assert set(report.importances()) == {
        "expert.count", "router.backbone", "router.l_max", "training.learning_rate"
    }  # fmt: skip
