"""What a trial of a sweep costs beyond the same training without the platform.

One worker: each trial notes how long it trained, its reports apart; all else between the end of the trial before and
its own end is what the platform takes. Two workers: whole trials beside bare ``TorchTrainer.fit()`` calls of the same
training, in the same run.

    make bench ARGS="-k trial_start"    12 minutes on two quiet cores
"""

import io
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from moedsr.config import Config
from moedsr_platform.display.board import Board, Row
from moedsr_platform.display.progress import LineDisplay
from moedsr_platform.sweep_file.schema import SweepFile

TRIALS = 10
LIMIT = 1.0  # seconds
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


@pytest.fixture
def run_trials(
    tiny_run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[int, Any], tuple[list[float], list[float]]]:
    """Runs tiny trials of so many workers one after the other; seconds of each, and of its training alone."""
    import ray

    from moedsr_platform.cluster import connection as cluster
    from moedsr_platform.sweep.request import Request
    from moedsr_platform.sweep.sweep import run_sweep

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import a test
    monkeypatch.setenv("MOEDSR_HOME", str(tmp_path / "results"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def run(workers: int, train: Any) -> tuple[list[float], list[float]]:
        sweep = SweepFile(
            name="start",
            base=coarse(tiny_run),
            search={"training.seed": {"grid": tuple(range(TRIALS + 1))}},
            sampler="grid",
            resources={"workers": workers, "concurrent_trials": 1},
            register=None,
        )
        file = tmp_path / "start.yaml"
        file.write_text("", encoding="utf-8")
        watch = Stopwatch()
        try:
            run_sweep(Request(sweep=sweep, file=file, train=train), watch)
        finally:
            cluster.leave(60)
        notes = [*(tmp_path / "results").rglob(TRAINED)]
        lines = notes[0].read_text().splitlines() if notes else []
        return watch.trials, [float(line) for line in lines]

    return run


def coarse(config: Config) -> Config:
    return config.model_copy(update={"evaluation": config.evaluation.model_copy(update={"grid_stride": 4})})


def say(capsys: pytest.CaptureFixture[str], name: str, seconds: Sequence[float]) -> float:
    """Prints all but the first, which pays for the start of processes; returns their median."""
    middle = statistics.median(seconds[1:])
    with capsys.disabled():
        print(
            f"\n{name}, median {middle:.2f} s: first {seconds[0]:.2f}; {' '.join(f'{one:.2f}' for one in seconds[1:])}"
        )
    return middle


def test_a_trial_of_one_worker(run_trials: Any, capsys: pytest.CaptureFixture[str]) -> None:
    trials, trained = run_trials(1, timed_training)
    over = [trial - inside for trial, inside in zip(trials, trained, strict=True)]
    assert say(capsys, "one worker, beyond the training", over) < LIMIT


def test_a_trial_of_two_workers(
    run_trials: Any, tiny_run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trials, _ = run_trials(2, None)
    bare = bare_fits(coarse(tiny_run), tmp_path / "bare")
    added = say(capsys, "two workers, trials of a sweep", trials) - say(capsys, "bare TorchTrainer.fit()", bare)
    with capsys.disabled():
        print(f"the sweep adds {added:.2f} s")
    assert added < LIMIT


def bare_fits(config: Config, folder: Path) -> list[float]:
    """Seconds of Ray Train runs of the same training, with the settings that the platform uses, and nothing else."""
    import os

    import ray
    from ray import train
    from ray.train.torch import TorchTrainer

    os.environ |= {
        "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.1",
        "RAY_TRAIN_ENABLE_STATE_TRACKING": "0",
        "RAY_TRAIN_METRICS_ENABLED": "0",
    }

    def loop(settings: dict[str, Any]) -> None:
        import tempfile

        from moedsr.train import train as science

        def report(made: Any) -> None:
            where = train.Checkpoint(str(made.checkpoint)) if made.checkpoint is not None else None
            train.report(dict(made.metrics), checkpoint=where)

        with tempfile.TemporaryDirectory() as scratch:
            config = Config.model_validate_json(settings["config"])
            science(config, Path(config.data.store), report=report, scratch=Path(scratch), device="cpu")

    found = []
    try:
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
        for number in range(TRIALS + 1):
            seeded = config.model_copy(update={"training": config.training.model_copy(update={"seed": number})})
            begun = time.perf_counter()
            TorchTrainer(
                loop,
                train_loop_config={"config": seeded.model_dump_json()},
                scaling_config=train.ScalingConfig(num_workers=2),
                run_config=train.RunConfig(name=str(number), storage_path=str(folder)),
            ).fit()
            found.append(time.perf_counter() - begun)
    finally:
        ray.shutdown()
    return found
