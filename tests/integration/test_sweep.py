"""Sweeps through real Ray, Tune, Optuna and MLflow, with a training function of seconds."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest

HERE = Path(__file__).resolve().parent

SWEEP = """\
name: fake
base:
  data:
    source: {source}
    prepare: {{frames: 4, surface_points: 300, grid_spacing: 1.0, occupancy_grid: 24}}
  training: {{steps: 40, report_every: 10, validate_every: 20}}
search:
  expert.count: {{grid: {counts}}}
sampler: grid
scheduler: {scheduler}
resources: {{workers: 1, cpus_per_worker: 1, concurrent_trials: {at_once}, worker_restarts: 1}}
"""


ASHA = "{asha: {grace_steps: 20, reduction_factor: 2}}"


def write_sweep(folder: Path, source: Path, counts: list[int], at_once: int, scheduler: str = "none") -> Path:
    path = folder / "fake.yaml"
    text = SWEEP.format(source=source, counts=counts, at_once=at_once, scheduler=scheduler)
    path.write_text(text, encoding="utf-8")
    return path


def driver(file: Path, *flags: str) -> list[str]:
    return [sys.executable, str(HERE / "fake_training.py"), str(file), *flags]


def rows(tmp_path: Path) -> list[dict[str, Any]]:
    return json.loads((tmp_path / "results" / "sweeps" / "fake" / "trials.json").read_text())


def runs(tmp_path: Path) -> list[Any]:
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'results' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("moe-dsr")
    assert experiment is not None
    return client.search_runs([experiment.experiment_id])


def starts(environment: dict[str, str]) -> list[tuple[int, ...]]:
    lines = Path(environment["FAKE_LOG"]).read_text().splitlines()
    return [tuple(int(word) for word in line.split()) for line in lines]


def test_trials_complete_are_stopped_fail_and_survive_a_killed_worker(
    tmp_path: Path, source: Path, environment: dict[str, str]
) -> None:
    file = write_sweep(
        tmp_path, source, [8, 4, 13], at_once=1, scheduler="{asha: {grace_steps: 20, reduction_factor: 2}}"
    )
    # slow enough for the decision to stop a trial to reach it
    slow = {**environment, "FAKE_KILL": "1", "FAKE_SECONDS": "0.2"}
    done = subprocess.run(driver(file), env=slow, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    # the killed worker went on from its checkpoint; the trial that raises was not tried again
    assert starts(environment) == [(8, 0, 0), (8, 0, 20), (4, 0, 0), (13, 0, 0)]
    found = rows(tmp_path)
    assert [(row["params"]["expert.count"], row["state"]) for row in found] == [
        (8, "COMPLETE"),
        (4, "PRUNED"),
        (13, "FAIL"),
    ]
    assert found[2]["reason"] == "ValueError: unlucky"
    assert "best: trial 1 at step 40: val/iou 0.9400, naive/iou 0.5000, oracle/iou 0.9500" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert "ray" not in done.stderr.lower(), done.stderr

    tracked = runs(tmp_path)
    assert len(tracked) == 4  # the parent and one run a trial
    parents = [run for run in tracked if run.data.tags["moedsr.kind"] == "sweep"]
    assert len(parents) == 1
    by_trial = {run.data.tags["moedsr.trial_id"]: run for run in tracked if run not in parents}
    assert set(by_trial) == {row["trial_id"] for row in found}
    best = by_trial[found[0]["trial_id"]]
    assert best.data.tags["mlflow.parentRunId"] == parents[0].info.run_id
    assert best.data.metrics["val/iou"] == pytest.approx(0.94)


def test_interrupted_and_killed_sweeps_go_on_where_they_were(
    tmp_path: Path, source: Path, environment: dict[str, str], kill_tree: Callable[[Path], int]
) -> None:
    """Ctrl-C and kill -9 of every process, each while a trial is under way; then --resume to the end."""
    file = write_sweep(tmp_path, source, [8, 7], at_once=1)
    slow = {**environment, "FAKE_SECONDS": "0.2"}
    for number, sent in enumerate([signal.SIGINT, None]):
        flags = ["--resume"] if number else []
        process = subprocess.Popen(
            driver(file, *flags),
            env=slow,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # where the tests themselves run in the background, Ctrl-C is ignored, and that would be inherited
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        wait_for_validations(tmp_path, process, number + 1)
        if sent is None:
            assert kill_tree(tmp_path) > 3
            process.communicate(timeout=180)
        else:
            process.send_signal(sent)
            output = process.communicate(timeout=180)[0].decode()
            assert process.returncode == 128 + sent, output
            # the last line, whole: nothing follows it, no traceback precedes it
            assert f"{sent.name}: saving 1 running trial. Go on with: moedsr sweep {file} --resume" in output
            line = f"moedsr: interrupted; finished trials are kept. Go on with: moedsr sweep {file} --resume"
            assert output.splitlines()[-1] == line
            assert "Traceback" not in output
        # whoever was asked to stop shows nothing as running; who was killed could not say so
        waits = "RUNNING" if sent is None else "WAITING"
        assert [row["state"] for row in rows(tmp_path)] == ["COMPLETE"] * number + [waits]
        left = {"RUNNING"} if sent is None else {"KILLED"}
        assert {run.info.status for run in runs(tmp_path)} == left | ({"FINISHED"} if number else set())
    done = subprocess.run(driver(file, "--resume"), env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [row["state"] for row in rows(tmp_path)] == ["COMPLETE"] * 2
    # no trial began anew: those that were asked to stop had saved themselves, the one that was killed at step 20
    assert [(count, step) for count, _, step in starts(environment) if step in (0, 20)] == [
        (8, 0), (7, 0), (7, 20)
    ]  # fmt: skip
    assert len(starts(environment)) == 4
    assert len(runs(tmp_path)) == 3  # none was doubled
    assert {run.info.status for run in runs(tmp_path)} == {"FINISHED"}


def wait_for_validations(tmp_path: Path, process: "subprocess.Popen[bytes]", count: int) -> None:
    """Until so many trials have validated, the last being under way, and Tune has saved its state."""
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        assert process.poll() is None, "the sweep ended before it could be interrupted"
        path = tmp_path / "results" / "sweeps" / "fake" / "trials.json"
        if path.exists() and len(found := json.loads(path.read_text())) == count and all(row["best"] for row in found):
            time.sleep(1)
            return
        time.sleep(0.2)
    raise AssertionError("no validation within 600 s")


def test_what_cannot_work_is_said_before_anything_starts(
    tmp_path: Path, source: Path, environment: dict[str, str]
) -> None:
    file = write_sweep(tmp_path, source, [8], at_once=1)
    none = subprocess.run(driver(file, "--resume"), env=environment, capture_output=True, text=True, timeout=120)
    assert none.returncode == 2
    assert "no sweep `fake` to resume under" in none.stderr
    file.write_text(file.read_text().replace("cpus_per_worker: 1", "cpus_per_worker: 900"))
    large = subprocess.run(driver(file), env=environment, capture_output=True, text=True, timeout=120)
    assert large.returncode == 2
    assert "a trial needs 1 worker with 900 CPU and 0 GPU each, but the cluster has" in large.stderr
    assert not (tmp_path / "results" / "sweeps").exists()
