"""What tracking costs training: 1 and 16 concurrent writers of tiny steps, every step logged, against no tracking.

The writers train a tiny model for real and hand ten metrics a step to the driver, ten steps at a time, as Ray Train's
workers do; the driver gives them to an embedded store, or drops them. Rounds alternate, so that both meet the same load
of the machine. `MLFLOW_TRACKING_URI` measures a server instead.

Two figures: how much longer the writers take, with its 95 % interval over the rounds, and the driver's processor time
beside the writers'. On a machine whose cores are all busy training the second is what the first tends to, and other
processes disturb it less; it also counts what is sent after the writers' end. It is what the limit is held against.

    make bench ARGS="-k tracking_load"    7 minutes on two quiet cores
"""

import math
import multiprocessing as mp
import os
import resource
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path

import builders
import pytest
import torch
from scipy.stats import t as student

from moedsr.config import Config
from moedsr.models.moedsr import MoEDSR
from moedsr_platform.tracking import Tracker

pytestmark = pytest.mark.benchmark

STEPS, ROUNDS = {1: 480, 16: 80}, {1: 8, 16: 6}  # a round is several times as long as metrics wait for company
REPORT_EVERY, LIMIT = 10, 0.02
LOSSES = ("loss", "manifold", "normal", "eikonal", "latent", "load_balance")
METRICS = (*(f"train/{name}" for name in LOSSES), "routing/max_load", "routing/entropy", "perf/seconds", "perf/rate")

History = list[tuple[int, dict[str, float]]]
Reports = "Queue[tuple[int, History | float]]"


def write(number: int, steps: int, rounds: int, begin: Barrier, reports: Reports) -> None:
    """One writer in all rounds; the last message of each is the processor time that it took."""
    torch.set_num_threads(1)
    torch.manual_seed(number)
    batch = builders.make_batch((40, 40), experts=4, frames=1).to("cpu", torch.float32)
    model = MoEDSR(builders.small_config(), 2)
    optimiser = torch.optim.Adam(model.parameters())
    for _ in range(2 * rounds):
        begin.wait()
        started, history = time.process_time(), []
        for step in range(1, steps + 1):
            value, gradient = model.field(batch.surface_points, batch.time, model.context(batch.proteins))
            assert gradient is not None
            loss = value.abs().mean() + (gradient.norm(dim=-1) - 1).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            history.append((step, {name: loss.item() + place for place, name in enumerate(METRICS)}))
            if step % REPORT_EVERY == 0:
                reports.put((number, history))
                history = []
        reports.put((number, time.process_time() - started))


@dataclass(frozen=True)
class Race:
    """Seconds until the last writer was done, the writers' processor time, and the driver's."""

    wall: float
    writers: float
    driver: float


def race(begin: Barrier, reports: Reports, tracker: Tracker, runs: list[str]) -> Race:
    """One round; without runs nothing is tracked."""
    begin.wait()
    started, busy, done, theirs = time.perf_counter(), time.process_time(), 0, 0.0
    while done < begin.parties - 1:
        number, message = reports.get()
        if isinstance(message, float):
            done, theirs = done + 1, theirs + message
        elif runs:
            tracker.log_history(runs[number], message)
    wall = time.perf_counter() - started
    tracker.drain()  # after the writers' end, but its processor time is taken all the same
    return Race(wall, theirs, time.process_time() - busy)


def ratio_and_interval(rows: Sequence[tuple[Race, Race]]) -> tuple[float, float, float]:
    """Geometric mean of with / without in time, and its 95 % interval (Student's t on the logarithms)."""
    logs = [math.log(tracked.wall / without.wall) for without, tracked in rows]
    mean = statistics.fmean(logs)
    half = float(student.ppf(0.975, len(logs) - 1)) * statistics.stdev(logs) / math.sqrt(len(logs))
    return math.exp(mean), math.exp(mean - half), math.exp(mean + half)


@pytest.mark.parametrize("writers", [1, 16])
def test_writers_with_and_without_tracking(writers: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{tmp_path / 'mlflow.db'}"
    steps, rounds = STEPS[writers], ROUNDS[writers]
    context = mp.get_context("spawn")
    begin, reports = context.Barrier(writers + 1), context.Queue()
    tasks = [context.Process(target=write, args=(number, steps, rounds, begin, reports)) for number in range(writers)]
    for task in tasks:
        task.start()
    config = Config.model_validate_json('{"data": {"source": "mini-atlas"}}')
    rows: list[tuple[Race, Race]] = []
    with Tracker.open(uri, f"load-{time.time_ns()}", folder=tmp_path / "tracking") as tracker:
        for turn in range(rounds):
            runs = [tracker.trial_run(None, f"{turn}-{number}", config, {}) for number in range(writers)]
            tracker.drain()
            first, second = (race(begin, reports, tracker, tracked) for tracked in ([], runs)[:: (-1) ** turn])
            rows.append((second, first) if turn % 2 else (first, second))
        found = tracker.client.search_runs([tracker.experiment_id], max_results=1000)
        points = {
            (run.info.run_id, name): [point.step for point in tracker.client.get_metric_history(run.info.run_id, name)]
            for run in found
            for name in METRICS
        }
    for task in tasks:
        task.join()
    assert len(found) == rounds * writers
    assert all(there == list(range(1, steps + 1)) for there in points.values())
    share = statistics.median((tracked.driver - without.driver) / tracked.writers for without, tracked in rows)
    step = statistics.median(without.writers for without, _ in rows) / writers / steps
    with capsys.disabled():
        print(f"\n{writers} writers, {steps} steps of {1000 * step:.1f} ms of one core, {rounds} rounds:")
        print(f"  all {sum(map(len, points.values()))} points are there")
        print("  training takes {:.3f} times as long, 95 % interval {:.3f} to {:.3f}".format(*ratio_and_interval(rows)))
        print(f"  the driver's processor time is {share:.2%} of the writers'")
        for without, tracked in rows:
            print(f"  without {without.wall:.2f} s, with {tracked.wall:.2f} s")
        print(f"  peak memory of the driver {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")
    assert share < LIMIT
