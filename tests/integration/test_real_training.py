"""A sweep of two trials and a trial of two workers: real training, real Ray, real MLflow."""

import math
import random
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pytest

STEPS, EVERY = 60, 20
BY_STEP = ("train/loss", "train/manifold", "train/normal", "train/eikonal", "train/latent", "train/load_balance")
BY_REPORT = (
    "routing/entropy", "routing/max_load", "perf/steps_per_second", "system/cpu_utilisation", "system/memory_gib",
)  # fmt: skip
SCORES = ("iou", "chamfer", "chamfer_l1", "normal_consistency")
BY_VALIDATION = (*(f"{who}/{score}" for who in ("val", "naive") for score in SCORES), "val/gap_closed", "oracle/iou")


@dataclass(frozen=True)
class Done:
    """A finished sweep."""

    folder: Path
    output: str
    client: mlflow.MlflowClient
    runs: list[Any]

    @property
    def parents(self) -> list[Any]:
        return [run for run in self.runs if run.data.tags["moedsr.kind"] == "sweep"]

    def trial(self, experts: int) -> Any:
        (run,) = [
            run for run in self.runs if run not in self.parents and run.data.params["expert.count"] == str(experts)
        ]
        return run

    def history(self, run: Any, metric: str) -> dict[int, float]:
        found = self.client.get_metric_history(run.info.run_id, metric)
        assert len({point.step for point in found}) == len(found), f"{metric} is stored twice"
        return {point.step: point.value for point in found}

    def files(self, run: Any, folder: str) -> set[str]:
        return {item.path.removeprefix(f"{folder}/") for item in self.client.list_artifacts(run.info.run_id, folder)}


Execute = Callable[..., Done]
"""Command, file, folder, flags."""


@pytest.fixture(scope="module")
def execute(make_environment: Callable[[Path], dict[str, str]], runs_in: Callable[[Path], list[Any]]) -> Execute:
    """Runs a command on a file as a user does, in a folder of its own."""

    def run(command: str, file: Path, folder: Path, *flags: str) -> Done:
        line = [sys.executable, "-m", "moedsr_platform", command, str(file), *flags]
        done = subprocess.run(line, env=make_environment(folder), capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stdout + done.stderr
        client = mlflow.MlflowClient(f"sqlite:///{folder / 'results' / 'mlflow.db'}")
        return Done(folder, done.stdout, client, runs_in(folder / "results"))

    return run


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory, tiny_file: Callable[..., Path], execute: Execute) -> Done:
    folder = tmp_path_factory.mktemp("sweep")
    return execute("sweep", tiny_file(folder / "tiny.yaml", steps=STEPS, validate_every=EVERY), folder)


def test_one_run_a_trial_under_one_parent(sweep: Done) -> None:
    assert len(sweep.runs) == 3
    (parent,) = sweep.parents
    for experts in (2, 3):
        trial = sweep.trial(experts)
        assert trial.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert (trial.info.status, trial.data.tags["moedsr.state"]) == ("FINISHED", "COMPLETE")
        assert trial.data.params["training.steps"] == str(STEPS)
    assert (parent.data.tags["moedsr.objective"], parent.data.tags["moedsr.mode"]) == ("val/iou", "max")


def test_every_metric_by_step(sweep: Done) -> None:
    trial = sweep.trial(2)
    for metric in BY_STEP:
        assert sorted(sweep.history(trial, metric)) == list(range(1, STEPS + 1)), metric
    for metric in BY_REPORT:
        assert sorted(sweep.history(trial, metric)) == list(range(5, STEPS + 1, 5)), metric
    for metric in BY_VALIDATION:
        assert sorted(sweep.history(trial, metric)) == list(range(EVERY, STEPS + 1, EVERY)), metric
    assert all(math.isfinite(value) for metric in trial.data.metrics for value in sweep.history(trial, metric).values())
    assert 0.05 < trial.data.metrics["system/memory_gib"] < 8
    loads = [sweep.history(trial, f"routing/load_{expert}")[STEPS] for expert in range(2)]
    assert sum(loads) == pytest.approx(1, abs=1e-5)


def test_the_loss_falls(sweep: Done) -> None:
    for experts in (2, 3):
        losses = [value for _, value in sorted(sweep.history(sweep.trial(experts), "train/loss").items())]
        assert sum(losses[-10:]) < 0.93 * sum(losses[:10])


def test_artifacts(sweep: Done) -> None:
    trial = sweep.trial(3)
    checkpoint = sweep.files(trial, "checkpoint")
    assert {"config.json", "model.safetensors", "meta.json", "routing.json", "evaluation.json"} <= checkpoint
    assert "training.pt" not in checkpoint
    assert any(name.endswith(".csv") for name in sweep.files(trial, "routing"))
    assert any(name.endswith(".png") for name in sweep.files(trial, "routing"))
    assert {"overview.png", "experts.png", "player.html"} <= set(sweep.files(trial, "surfaces"))
    assert "config.yaml" in {item.path for item in sweep.client.list_artifacts(trial.info.run_id)}
    (parent,) = sweep.parents
    assert {"sweep.yaml", "results.md"} <= {item.path for item in sweep.client.list_artifacts(parent.info.run_id)}


def test_the_best_trial_is_the_registered_candidate(sweep: Done) -> None:
    version = sweep.client.get_model_version_by_alias("moe-dsr", "candidate")
    best = max((sweep.trial(experts) for experts in (2, 3)), key=lambda run: run.data.metrics["val/iou"])
    assert version.run_id == best.info.run_id
    assert sweep.parents[0].data.tags["moedsr.best_run"] == best.info.run_id


def test_the_store_is_made_or_found_once_for_all_trials(sweep: Done) -> None:
    lines = sweep.output.splitlines()
    places = [place for place, line in enumerate(lines) if line.startswith(("preparing ", "surface store "))]
    first_trial = next(place for place, line in enumerate(lines) if line.startswith("trial 1 of 2: started"))
    assert len(places) == 1
    assert places[0] < first_trial
    assert len({sweep.trial(experts).data.params["data.store"] for experts in (2, 3)}) == 1


def test_what_the_user_reads_at_the_end(sweep: Done) -> None:
    assert "doing nothing (P0 for every frame) scores 0." in sweep.output
    assert f"  export MOEDSR_HOME={sweep.folder / 'results'}\n  moedsr ui\n" in sweep.output


@pytest.mark.slow
def test_time_modes_train_on_a_store_of_each(tmp_path: Path, tiny_file: Callable[..., Path], execute: Execute) -> None:
    """sweeps/ablations/time_mode.yaml in a tiny form: two stores with the same frames at other times."""
    file = tiny_file(tmp_path / "modes.yaml")
    text = file.read_text(encoding="utf-8")
    searched = "  expert.count: {grid: [2, 3]}"
    assert searched in text
    assert "frames: 4," in text
    text = text.replace("frames: 4,", "frames: 6,")  # as many of each of three replicas
    file.write_text(text.replace(searched, "  data.prepare.time_mode: {grid: [concat, replica]}"), encoding="utf-8")
    done = execute("sweep", file, tmp_path)
    trials = {run.data.params["data.prepare.time_mode"]: run for run in done.runs if run not in done.parents}
    assert set(trials) == {"concat", "replica"}
    concat, replica = trials["concat"].data, trials["replica"].data
    assert all(math.isfinite(data.metrics["val/iou"]) for data in (concat, replica))
    assert concat.params["data.store"] != replica.params["data.store"]
    for baseline in ("naive/iou", "random/iou", "oracle/iou"):
        assert concat.metrics[baseline] == pytest.approx(replica.metrics[baseline], abs=1e-12)
    assert concat.metrics["train/loss"] != replica.metrics["train/loss"]


@pytest.mark.parametrize("kills", [1, pytest.param(6, marks=pytest.mark.slow)])
def test_everything_is_killed_and_the_sweep_ends_with_the_same_bits(
    kills: int,
    sweep: Done,
    tmp_path: Path,
    tiny_file: Callable[..., Path],
    execute: Execute,
    make_environment: Callable[[Path], dict[str, str]],
    kill_tree: Callable[[Path], int],
) -> None:
    """kill -9 after a validation, at a moment that chance chooses; weights and every number but speed are the same."""
    file = tiny_file(tmp_path / "tiny.yaml", steps=STEPS, validate_every=EVERY)
    log, chance, done = tmp_path / "results" / "sweeps" / "tiny" / "log.jsonl", random.Random(0), 0
    environment = make_environment(tmp_path)
    for _ in range(kills):
        line = [sys.executable, "-m", "moedsr_platform", "sweep", str(file), *(["--resume"] if done else [])]
        with subprocess.Popen(line, env=environment, stdout=subprocess.DEVNULL) as process:
            while process.poll() is None and validated(log) <= done:
                time.sleep(0.02)
            time.sleep(chance.uniform(0, 0.5))
            kill_tree(tmp_path)
        done = validated(log)
        if done == 2 * STEPS / EVERY:  # too late to kill anything
            break
    assert kills > 1 or log.read_text().count('"ended"') < 2
    torn = execute("sweep", file, tmp_path, "--resume")
    for experts in (2, 3):
        ours, theirs = torn.trial(experts), sweep.trial(experts)
        assert set(ours.data.metrics) == set(theirs.data.metrics)
        for metric in ours.data.metrics:
            if not metric.startswith(("perf/", "system/")):
                assert torn.history(ours, metric) == sweep.history(theirs, metric), metric
        assert weights(torn, ours) == weights(sweep, theirs)


def validated(log: Path) -> int:
    return log.read_text().count('"validated"') if log.exists() else 0


def weights(done: Done, run: Any) -> bytes:
    """Of the last checkpoint of a trial."""
    (folder,) = (done.folder / "results" / "sweeps" / "tiny" / "trials").glob(run.data.tags["moedsr.trial_id"])
    return (folder / f"checkpoint_{STEPS:07d}" / "model.safetensors").read_bytes()


def test_two_workers_take_the_same_steps_as_one(
    sweep: Done, tmp_path: Path, tiny_file: Callable[..., Path], execute: Execute
) -> None:
    both = execute("train", tiny_file(tmp_path / "two.yaml", steps=STEPS, run=True, workers=2), tmp_path)
    (run,) = both.runs
    one = sweep.trial(2)
    assert run.data.params["expert.count"] == "2"
    for metric in BY_STEP:
        alone, together = sweep.history(one, metric), both.history(run, metric)
        assert sorted(alone) == sorted(together)
        for step, value in alone.items():
            assert together[step] == pytest.approx(value, rel=2e-4, abs=1e-6), (metric, step)
    assert run.data.metrics["val/iou"] == pytest.approx(one.data.metrics["val/iou"], abs=0.01)
