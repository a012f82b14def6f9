"""Real sweeps on a real GPU: shares of it, two workers on one, what is killed or too large, and the best model."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
from killing import TRIAL, Scene, history

pytestmark = [pytest.mark.gpu, pytest.mark.slow]

EVERY = 20

MakeSweep = Callable[..., Scene]


@pytest.fixture
def make_sweep(
    tmp_path: Path, tiny_file: Callable[..., Path], make_environment: Callable[[Path], dict[str, str]]
) -> MakeSweep:
    """A sweep of tiny trials with the real training."""

    def make(search: str, resources: str, *, steps: int = 3 * EVERY, **options: Any) -> Scene:
        file = tiny_file(tmp_path / "tiny.yaml", steps=steps, validate_every=EVERY, **options)
        text = file.read_text(encoding="utf-8")
        for old, new in (
            ("expert.count: {grid: [2, 3]}", search),
            ("cpus_per_worker: 1", f"cpus_per_worker: 1, {resources}"),
            ("kind: plain", "kind: plain, matmul_precision: float32"),
        ):
            text = text.replace(old, new)
        file.write_text(text, encoding="utf-8")
        command = (sys.executable, "-m", "moedsr_platform", "train" if options.get("run") else "sweep")
        return Scene(file, tmp_path, make_environment(tmp_path), name="tiny", command=command)

    return make


def whole(scene: Scene, steps: int = 3 * EVERY) -> list[Any]:
    """The runs of the trials: each step of each is there once, and the GPU was used."""
    client = mlflow.MlflowClient(address(scene))
    experiment = client.get_experiment_by_name("moe-dsr")
    assert experiment is not None
    runs = [
        run
        for run in client.search_runs([experiment.experiment_id])
        if run.data.tags["moedsr.kind"] != "sweep" and run.data.tags["moedsr.state"] == "COMPLETE"
    ]
    for run in runs:
        assert sorted(history(client, run.info.run_id, "train/loss")) == list(range(1, steps + 1))
        assert sorted(history(client, run.info.run_id, "val/iou")) == list(range(EVERY, steps + 1, EVERY))
        assert 0 < run.data.metrics["system/gpu_memory_gib"] < 2
    return runs


def address(scene: Scene) -> str:
    return f"sqlite:///{scene.folder / 'results' / 'mlflow.db'}"


@pytest.mark.parametrize(("share", "at_once"), [(0.5, 2), (0.25, 4)])
def test_trials_share_a_gpu(share: float, at_once: int, make_sweep: MakeSweep) -> None:
    scene = make_sweep("training.seed: {grid: [0, 1, 2, 3]}", f"gpus_per_worker: {share}")
    seen: set[int] = set()
    process = scene.start(resume=False)
    while process.poll() is None:
        seen.add(sum(row["state"] == "RUNNING" for row in scene.rows))
        try:
            process.wait(0.2)
        except subprocess.TimeoutExpired:
            continue
    assert process.returncode == 0, scene.output
    assert max(seen) == at_once, scene.output
    assert f"{at_once} at a time, each 1 worker with 1 CPU and {share:g} GPU each" in scene.output
    assert len(whole(scene)) == 4
    if share == 0.5:
        the_best_is_evaluated_and_predicts(scene)


def the_best_is_evaluated_and_predicts(scene: Scene) -> None:
    """The registered model, on the GPU and on a CPU."""
    scores, surfaces = {}, {}
    file = Path(__file__).parents[2] / "moedsr" / "structures" / "mini_atlas" / "1vii_A" / "1vii_A.pdb"
    for device in ("cuda", "cpu"):
        out = scene.folder / f"surfaces-{device}"
        model = ["models:/moe-dsr@candidate"]
        predict = ["predict", *model, str(file), "--times", "0.5", "--resolution", "48", "--out", str(out)]
        said = command(scene, "evaluate", *model, "--split", "val", "--frames", "2", "--device", device, "--json")
        scores[device] = {
            f"{row['protein']} {row['predictor']} {row['frame']}": row["values"]["iou"] for row in json.loads(said)
        }
        command(scene, *predict, "--device", device)
        surfaces[device] = [path.stat().st_size for path in sorted(out.glob("*.ply"))]
    assert scores["cuda"] == pytest.approx(scores["cpu"], abs=2e-3)
    assert surfaces["cuda"] == surfaces["cpu"]
    assert len(surfaces["cpu"]) == 1


def command(scene: Scene, *words: str) -> str:
    environment = scene.environment | {"MLFLOW_TRACKING_URI": address(scene)}
    line = [sys.executable, "-m", "moedsr_platform", *words]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_two_workers_on_one_gpu(make_sweep: MakeSweep) -> None:
    """They take the steps of one."""
    losses = []
    for workers, share in ((1, 1), (2, 0.5)):
        scene = make_sweep("", f"gpus_per_worker: {share}", run=True, workers=workers)
        process = scene.start(resume=False)
        assert process.wait(300) == 0, scene.output
        runs = whole(scene)
        losses.append(history(mlflow.MlflowClient(address(scene)), runs[0].info.run_id, "train/loss"))
        scene.file.unlink()
        (scene.folder / "results").rename(scene.folder / f"results-{workers}")
    assert losses[1] == pytest.approx(losses[0], rel=2e-3)


def test_a_trial_and_then_everything_is_killed(make_sweep: MakeSweep, kill_tree: Callable[[Path], int]) -> None:
    steps = 10 * EVERY
    scene = make_sweep("training.seed: {grid: [0, 1, 2]}", "gpus_per_worker: 0.5", steps=steps)
    log = scene.sweep / "log.jsonl"

    def validated() -> int:
        return log.read_text().count('"validated"') if log.exists() else 0

    process = scene.start(resume=False)
    scene.wait_for(lambda: validated() >= 2, process, 120)
    assert scene.kill("trial", scene.processes(TRIAL))
    before = validated()
    scene.wait_for(lambda: validated() >= before + 6, process, 120)  # goes on by itself, and further than before
    assert kill_tree(scene.folder) > 0
    process.wait()
    assert sum(row["state"] == "COMPLETE" for row in scene.rows) < 3
    process = scene.start(resume=True)
    assert process.wait(300) == 0, scene.output
    assert [row["state"] for row in scene.rows] == ["COMPLETE"] * 3
    assert len(whole(scene, steps)) == 3
    assert "Traceback" not in scene.output


def test_a_trial_that_is_too_large_fails_alone(make_sweep: MakeSweep) -> None:
    scene = make_sweep("training.surface_points: {grid: [64, 1500000]}", "gpus_per_worker: 1")
    text = scene.file.read_text(encoding="utf-8").replace("hidden_layers: 2, hidden_size: 24", "hidden_layers: 8")
    scene.file.write_text(text, encoding="utf-8")
    process = scene.start(resume=False)
    assert process.wait(300) == 0, scene.output
    states = {row["params"]["training.surface_points"]: row for row in scene.rows}
    assert states[64]["state"] == "COMPLETE"
    assert states[1_500_000]["state"] == "FAIL"
    reason = states[1_500_000]["reason"]
    assert reason.startswith("out of memory: CUDA out of memory. Tried to allocate ")
    assert f"failed: {reason}" in scene.output
