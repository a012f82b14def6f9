"""What it takes to run sixteen tiny trials at once: time and memory beside the same trials one and two at a time.

The trials are real ones, of one worker each; every step is logged, ten of them in a report. Ray is told of as many
cores as there are trials at once, so that all of them share those of this machine. Memory is what processes have of
their own, with their share of what several have (PSS), at its peak. Afterwards every point of every trial must be in
the tracking store.

    make bench ARGS="-k concurrent_trials"    5 minutes on two cores
"""

import contextlib
import io
import os
import re
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from moedsr_platform.display.progress import LineDisplay
from moedsr_platform.sweep_file.schema import SweepFile

TRIALS, STEPS = 16, 100
GIB = 2**30

pytestmark = pytest.mark.benchmark


class Memory(threading.Thread):
    """Highest memory of this process, of all worker processes, idle ones too, and of Ray itself, in bytes (PSS)."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.driver = self.workers = self.ray = 0
        self.most_workers = 0
        self._over = threading.Event()

    def __enter__(self) -> "Memory":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        me = os.getpid()
        while not self._over.wait(1):
            below = descendants(me)
            training = [pid for pid, line in below.items() if line.startswith("ray::")]
            self.most_workers = max(self.most_workers, len(training))
            self.driver = max(self.driver, memory_of([me]))
            self.workers = max(self.workers, memory_of(training))
            self.ray = max(self.ray, memory_of(set(below) - set(training)))


def descendants(pid: int) -> dict[int, str]:
    """Command lines of all processes below ``pid``."""
    parents: dict[int, int] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # ended meanwhile
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
    below, todo = {}, [pid]
    while todo:
        parent = todo.pop()
        children = [child for child, its in parents.items() if its == parent]
        todo += children
        for child in children:
            with contextlib.suppress(OSError):
                below[child] = Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ").strip()
    return below


def memory_of(pids: Iterable[int]) -> int:
    """Bytes that processes have of their own, with their share of what several have."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
            total += int(found[1]) * 1024 if found else 0
    return total


def points(uri: str) -> dict[str, Sequence[int]]:
    """Steps of the training loss of every trial, from the tracking store."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = client.search_runs(experiments, "tags.`moedsr.kind` = 'trial'", max_results=1000)
    return {
        run.info.run_id: sorted(point.step for point in client.get_metric_history(run.info.run_id, "train/loss"))
        for run in runs
    }


@pytest.mark.parametrize("at_once", [1, 2, 16])
def test_trials_at_once(
    at_once: int,
    tiny_run: Any,
    tiny_store: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import ray

    from moedsr_platform.sweep.request import Request
    from moedsr_platform.sweep.sweep import run_sweep
    from moedsr_platform.tracking.store import store_uri

    monkeypatch.setenv("MOEDSR_HOME", str(tmp_path / "results"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    training = tiny_run.training.model_copy(update={"steps": STEPS, "report_every": 10, "validate_every": STEPS})
    evaluation = tiny_run.evaluation.model_copy(update={"grid_stride": 8})
    sweep = SweepFile(
        name="at-once",
        base=tiny_run.model_copy(update={"training": training, "evaluation": evaluation}),
        search={"training.seed": {"grid": tuple(range(TRIALS))}},
        sampler="grid",
        resources={"concurrent_trials": at_once},
        register=None,
    )
    file = tmp_path / "at_once.yaml"
    file.write_text("", encoding="utf-8")
    try:
        ray.init(address="local", num_cpus=at_once, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        begun, busy = time.perf_counter(), time.process_time()
        with Memory() as memory:
            run_sweep(Request(sweep=sweep, file=file), LineDisplay(io.StringIO()))
        took, driver = time.perf_counter() - begun, time.process_time() - busy
    finally:
        ray.shutdown()
    tracked = points(store_uri())
    with capsys.disabled():
        print(
            f"\n{TRIALS} trials of {STEPS} steps, {at_once} at once on {os.cpu_count()} cores: {took:.1f} s,"
            f" {driver:.1f} s of processor time of the driver\n  memory: driver {memory.driver / GIB:.2f} GiB,"
            f" {memory.most_workers} worker processes {memory.workers / GIB:.2f} GiB, Ray {memory.ray / GIB:.2f} GiB"
        )
    assert len(tracked) == TRIALS
    assert all(steps == list(range(1, STEPS + 1)) for steps in tracked.values())
