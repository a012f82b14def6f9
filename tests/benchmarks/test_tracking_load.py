"""What tracking costs training: 1 and 16 concurrent writers of tiny steps, every step logged, against no tracking.

The writers train a tiny model for real and hand ten metrics a step to the driver, ten steps at a time, as trials do; it
gives them to a store, or drops them: an embedded one, or the team's server with PostgreSQL. In truth that has a machine
of its own; here it has a core of its own, and writers and driver have the others.

Two figures. How much longer training takes: rounds with and without tracking in pairs, the order turned each time; each
writer times its own steps once metrics are sent as fast as they come, which begins as late as they wait for company;
the median over the pairs, and a 95 % interval. And the driver's processor time beside the writers', with what is sent
after their end: on a machine whose cores are all busy training the first tends to the second, and other processes
disturb it less.

    make bench ARGS="-k 'tracking_load and embedded'"    5 minutes on two quiet cores
    make bench ARGS="-k 'tracking_load and server'"      8 minutes on two quiet cores
"""

import math
import multiprocessing as mp
import os
import resource
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path

import builders
import pytest
import torch
import tracking_server
from scipy.stats import t as student

from moedsr.config import Config
from moedsr.models.moedsr import MoEDSR
from moedsr_platform.tracking.tracker import Tracker

pytestmark = pytest.mark.benchmark

STEPS, ROUNDS = {1: 400, 16: 60}, {"embedded": {1: 5, 16: 5}, "server": {1: 4, 16: 4}}
UNTIMED = {1: 140, 16: 20}
"""First steps of a round, until metrics no longer wait for company (``outbox.GATHER_SECONDS``)."""
REPORT_EVERY, LIMIT = 10, 0.02
LOSSES = ("loss", "manifold", "normal", "eikonal", "latent", "load_balance")
METRICS = (*(f"train/{name}" for name in LOSSES), "routing/max_load", "routing/entropy", "perf/seconds", "perf/rate")

History = list[tuple[int, dict[str, float]]]
Times = tuple[float, float]
"""Of a writer: seconds that its timed steps took, processor time of all of them."""
Reports = "Queue[tuple[int, History | Times]]"


def write(number: int, steps: int, untimed: int, rounds: int, begin: Barrier, reports: Reports) -> None:
    """One writer in all rounds; the last message of each is its times."""
    torch.set_num_threads(1)
    torch.manual_seed(number)
    batch = builders.make_batch((40, 40), experts=4, frames=1).to("cpu", torch.float32)
    model = MoEDSR(builders.small_config(), 2)
    optimiser = torch.optim.Adam(model.parameters())
    for _ in range(2 * rounds):
        begin.wait()
        busy, started, history = time.process_time(), 0.0, []
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
            if step == untimed:
                started = time.perf_counter()
        reports.put((number, (time.perf_counter() - started, time.process_time() - busy)))


@dataclass(frozen=True)
class Race:
    """Seconds of the timed steps in the mean over the writers, the writers' processor time, and the driver's."""

    wall: float
    writers: float
    driver: float


def race(begin: Barrier, reports: Reports, tracker: Tracker, runs: list[str]) -> Race:
    """One round; without runs nothing is tracked."""
    begin.wait()
    busy, times = time.process_time(), []
    while len(times) < begin.parties - 1:
        number, message = reports.get()
        if isinstance(message, tuple):
            times.append(message)
        elif runs:
            tracker.log_history(runs[number], message)
    tracker.drain()  # after the writers' end, but its processor time is taken all the same
    walls, writers = zip(*times, strict=True)
    return Race(statistics.fmean(walls), sum(writers), time.process_time() - busy)


def interval(ratios: Sequence[float]) -> tuple[float, float]:
    """Of their mean, 95 % (Student's t on the logarithms)."""
    logs = [math.log(ratio) for ratio in ratios]
    half = float(student.ppf(0.975, len(logs) - 1)) * statistics.stdev(logs) / math.sqrt(len(logs))
    return math.exp(statistics.fmean(logs) - half), math.exp(statistics.fmean(logs) + half)


@pytest.fixture(params=["embedded", "server"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, str]]:
    """Kind and address of a store."""
    if request.param == "embedded":
        yield "embedded", f"sqlite:///{tmp_path / 'mlflow.db'}"
        return
    if (lacks := tracking_server.missing()) is not None:
        pytest.skip(f"needs {lacks}")
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        pytest.skip("needs a second core, for the server")
    server = tracking_server.TrackingServer()
    try:
        os.sched_setaffinity(0, cores[-1:])  # what is started from here on inherits it
        server.start()
        os.sched_setaffinity(0, cores[:-1])
        for name, value in server.login.items():
            monkeypatch.setenv(name, value)
        yield "server", server.uri
    finally:
        os.sched_setaffinity(0, cores)
        server.close()


@pytest.mark.parametrize("writers", [1, 16])
def test_writers_with_and_without_tracking(
    writers: int, store: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kind, uri = store
    steps, rounds = STEPS[writers], ROUNDS[kind][writers]
    context = mp.get_context("spawn")
    begin, reports = context.Barrier(writers + 1), context.Queue()
    settings = steps, UNTIMED[writers], rounds
    tasks = [context.Process(target=write, args=(number, *settings, begin, reports)) for number in range(writers)]
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
    ratios = [tracked.wall / without.wall for without, tracked in rows]
    low, high = interval(ratios)
    with capsys.disabled():
        print(f"\n{kind} store, {writers} writers, {steps} steps of {1000 * step:.1f} ms of one core, {rounds} pairs:")
        print(f"  all {sum(map(len, points.values()))} points are there")
        print(f"  the driver's processor time is {share:.2%} of the writers'")
        print(f"  training takes {statistics.median(ratios):.3f} times as long, 95 % interval {low:.3f} to {high:.3f}")
        print("  pairs: " + ", ".join(f"{without.wall:.2f} s, {tracked.wall:.2f} s" for without, tracked in rows))
        print(f"  peak memory of the driver {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")
    assert share < LIMIT
    assert low < 1 + LIMIT
