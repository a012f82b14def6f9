"""What a trial costs beyond its training: sweeps of real, tiny trials beside the bare training loop, alternating.

The bare loop runs in the sweep's own process each time that a trial has ended, on the same configuration and store,
while the sweep waits; so both meet the same load of the machine.
"""

import io
import statistics
import time
from pathlib import Path
from typing import Any

import pytest

from moedsr.training import train
from moedsr_platform.board import Board, Row
from moedsr_platform.progress import LineDisplay
from moedsr_platform.sweep_file import SweepFile

TRIALS = 8

pytestmark = pytest.mark.benchmark


class Stopwatch(LineDisplay):
    """Times every trial, from the end of the one before to its own, and the bare loop after each."""

    def __init__(self, sweep: SweepFile, store: Path, scratch: Path) -> None:
        super().__init__(io.StringIO())
        self.sweep, self.store, self.scratch = sweep, store, scratch
        self.trials: list[float] = []
        self.bare: list[float] = []

    def start(self, board: Board) -> None:
        super().start(board)
        self._since = time.perf_counter()

    def update(self, row: Row, event: str) -> None:
        if event == "end":
            assert row.state == "COMPLETE", row
            self.trials.append(time.perf_counter() - self._since)
            self.bare.append(self._train(row.params))
            self._since = time.perf_counter()

    def _train(self, params: dict[str, Any]) -> float:
        training = self.sweep.base.training.model_copy(update={"seed": params["training.seed"]})
        config = self.sweep.base.model_copy(update={"training": training})
        scratch = self.scratch / str(len(self.bare))
        scratch.mkdir()
        begun = time.perf_counter()
        train(config, self.store, report=lambda report: None, scratch=scratch, device="cpu")
        return time.perf_counter() - begun


@pytest.mark.parametrize("workers", [1, 2])
def test_start_of_a_trial(
    workers: int, tiny_run: Any, tiny_store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    from moedsr_platform.sweep import Request, run_sweep

    monkeypatch.setenv("MOEDSR_HOME", str(tmp_path / "results"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    sweep = SweepFile(
        name="start",
        base=tiny_run,
        search={"training.seed": {"grid": tuple(range(TRIALS))}},
        sampler="grid",
        resources={"workers": workers, "concurrent_trials": 1},
        register=None,
    )
    file = tmp_path / "start.yaml"
    file.write_text("", encoding="utf-8")
    watch = Stopwatch(sweep, Path(tiny_store.path), tmp_path)
    try:
        run_sweep(Request(sweep=sweep, file=file), watch)
    finally:
        ray.shutdown()
    over = [trial - bare for trial, bare in zip(watch.trials, watch.bare, strict=True)]
    print(f"\n{workers} worker(s), {TRIALS} trials, seconds:")
    print("  trials    ", " ".join(f"{value:6.2f}" for value in watch.trials))
    print("  bare loop ", " ".join(f"{value:6.2f}" for value in watch.bare))
    print(f"  over the bare loop: first trial {over[0]:.2f}, median of the others {statistics.median(over[1:]):.2f}")
