"""What a trial costs beyond its training: real, tiny trials of a sweep, one after the other.

Each trial notes how long it trained, its reports apart. All else between the end of the trial before and its own is
what the platform takes: asking for a point, starting or resetting a process, imports, keeping reports and checkpoints,
hearing of the end. So how long the training takes, and its noise, do not enter.

Ray Train's start of a job of two workers that do nothing stands beside it.

    make bench ARGS="-k trial_start"    6 minutes on two quiet cores
"""

import io
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from moedsr.config import Config
from moedsr_platform.display.board import Board, Row
from moedsr_platform.display.progress import LineDisplay
from moedsr_platform.sweep_file.schema import SweepFile

TRIALS = 8
JOBS = 4
LIMIT = 2.0  # seconds, for a trial whose workers are there
TRAINED = "trained.jsonl"

pytestmark = pytest.mark.benchmark


class Stopwatch(LineDisplay):
    """Seconds from the end of the trial before, or from the sweep's first, to the end of each."""

    def __init__(self) -> None:
        super().__init__(io.StringIO())
        self.trials: list[float] = []

    def start(self, board: Board) -> None:
        super().start(board)
        self._since = time.perf_counter()

    def update(self, row: Row, event: str) -> None:
        if event == "end":
            assert row.state == "COMPLETE", row
            now = time.perf_counter()
            self.trials.append(now - self._since)
            self._since = now


def timed_training(config: Config, store: Path, *, report: Any, scratch: Path, **arguments: Any) -> None:
    """The training, which notes beside the trials how long it took, time spent in reports apart."""
    from moedsr.train import train

    reporting = 0.0

    def timed(said: Any) -> None:
        nonlocal reporting
        begun = time.perf_counter()
        report(said)
        reporting += time.perf_counter() - begun

    begun = time.perf_counter()
    train(config, store, report=timed, scratch=scratch, **arguments)
    took = time.perf_counter() - begun - reporting
    from moedsr.training import distributed

    if distributed.rank() == 0:
        with (scratch.parents[1] / TRAINED).open("a") as file:
            file.write(json.dumps(took) + "\n")


@pytest.mark.parametrize("workers", [1, 2])
def test_start_of_a_trial(
    workers: int, tiny_run: Any, tiny_store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    from moedsr_platform.cluster import connection as cluster
    from moedsr_platform.sweep.request import Request
    from moedsr_platform.sweep.sweep import run_sweep

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import a test
    monkeypatch.setenv("MOEDSR_HOME", str(tmp_path / "results"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    coarse = tiny_run.evaluation.model_copy(update={"grid_stride": 4})
    sweep = SweepFile(
        name="start",
        base=tiny_run.model_copy(update={"evaluation": coarse}),
        search={"training.seed": {"grid": tuple(range(TRIALS))}},
        sampler="grid",
        resources={"workers": workers, "concurrent_trials": 1},
        register=None,
    )
    file = tmp_path / "start.yaml"
    file.write_text("", encoding="utf-8")
    watch = Stopwatch()
    try:
        run_sweep(Request(sweep=sweep, file=file, train=timed_training), watch)
    finally:
        cluster.leave(60)
    (notes,) = (tmp_path / "results").rglob(TRAINED)
    trained = [float(line) for line in notes.read_text().splitlines()]
    over = [trial - inside for trial, inside in zip(watch.trials, trained, strict=True)]
    print(f"\n{workers} worker(s), {TRIALS} trials, seconds:")
    print("  trials         ", " ".join(f"{value:6.2f}" for value in watch.trials))
    print("  training alone ", " ".join(f"{value:6.2f}" for value in trained))
    print("  all else       ", " ".join(f"{value:6.2f}" for value in over))
    middle = statistics.median(over[1:])
    print(f"  first trial {over[0]:.2f}, median of the others {middle:.2f}, largest {max(over[1:]):.2f}")
    assert middle < LIMIT


def test_start_of_a_ray_train_job(capsys: pytest.CaptureFixture[str]) -> None:
    """What each trial of two workers would cost with a job of its own."""
    import ray
    import ray.train
    from ray.train.torch import TorchTrainer

    def nothing() -> None:
        ray.train.report({})

    jobs = []
    try:
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
        for _ in range(JOBS):
            begun = time.perf_counter()
            TorchTrainer(nothing, scaling_config=ray.train.ScalingConfig(num_workers=2)).fit()
            jobs.append(time.perf_counter() - begun)
    finally:
        ray.shutdown()
    with capsys.disabled():
        print(f"\nRay Train, 2 workers that do nothing, seconds: {' '.join(f'{job:.1f}' for job in jobs)}")
