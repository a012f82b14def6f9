"""The store as a training worker reads it: one frame, one batch beside one step, a slow file, two workers' memory.

Nothing is asserted about time or memory.
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file

from moedsr.batches.batch import TrainingBatch
from moedsr.batches.batches import BatchSampler
from moedsr.batches.prefetch import PrefetchedBatches
from moedsr.config import Config, DataConfig, PrepareConfig
from moedsr.store.prepare import prepare_serially
from moedsr.store.store import SurfaceStore
from moedsr.training.trainer import Trainer

pytestmark = pytest.mark.benchmark

SETTINGS = PrepareConfig(frames=50)
QUICKSTART = Path(__file__).parents[2] / "sweeps" / "quickstart.yaml"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> SurfaceStore:
    return prepare_serially("mini-atlas", SETTINGS, tmp_path_factory.mktemp("store"), ["1l2y_A", "1ppe_I", "1vii_A"])


def say(capsys: pytest.CaptureFixture[str], text: str) -> None:
    with capsys.disabled():
        print(f"\n{text}")


def test_random_frame(store: SurfaceStore, capsys: pytest.CaptureFixture[str]) -> None:
    protein, path = store.protein("1ppe_I"), store.path / "1ppe_I.safetensors"
    random = np.random.default_rng(0)
    ours, whole = [], []
    for _ in range(200):
        index = int(random.integers(0, len(protein)))
        started = time.perf_counter()
        protein.frame(index)
        ours.append(time.perf_counter() - started)
    for _ in range(10):
        started = time.perf_counter()
        load_file(path)
        whole.append(time.perf_counter() - started)
    frame, file = 1e3 * statistics.median(ours), 1e3 * statistics.median(whole)
    say(capsys, f"random frame, 5000 points, warm: {frame:.2f} ms; the whole file by its library: {file:.1f} ms")


def test_batch_beside_a_training_step(store: SurfaceStore, capsys: pytest.CaptureFixture[str]) -> None:
    base = yaml.safe_load(QUICKSTART.read_text())["base"]
    config = Config(**{**base, "data": DataConfig(store=store.path, prepare=SETTINGS)})
    trainer = Trainer(config, store, device="cpu")
    sampler = BatchSampler(store, config, trainer.proteins)
    steps, batches = [], []
    for number in range(13):
        started = time.perf_counter()
        sampler.batch(1000 + number)
        middle = time.perf_counter()
        trainer.take_step()
        if number > 2:
            batches.append(middle - started)
            steps.append(time.perf_counter() - middle)
    batch, step = statistics.median(batches), statistics.median(steps)
    say(capsys, f"quickstart: batch {1e3 * batch:.1f} ms, training step {1e3 * step:.0f} ms: {step / batch:.1f} times")


class SlowFile:
    """A sampler whose reading waits, as for a disk or a network."""

    def __init__(self, sampler: BatchSampler, seconds: float) -> None:
        self._sampler, self.seconds = sampler, seconds

    def batch(self, step: int, *, rank: int = 0, workers: int = 1) -> TrainingBatch:
        time.sleep(self.seconds)
        return self._sampler.batch(step, rank=rank, workers=workers)


def test_reading_ahead_hides_a_slow_file(store: SurfaceStore, capsys: pytest.CaptureFixture[str]) -> None:
    """A step when reading costs nothing more than it does, and when it waits for half a step: ahead, and in turn."""
    base = yaml.safe_load(QUICKSTART.read_text())["base"]
    trainer = Trainer(Config(**{**base, "data": DataConfig(store=store.path, prepare=SETTINGS)}), store, device="cpu")
    slow = SlowFile(BatchSampler(store, trainer.config, trainer.proteins), 0.0)
    ahead = PrefetchedBatches(slow)  # type: ignore[arg-type]

    def step(batches: PrefetchedBatches | SlowFile, seconds: float) -> float:
        trainer.batches, slow.seconds = batches, seconds  # type: ignore[assignment]
        started = time.perf_counter()
        trainer.take_step()
        return time.perf_counter() - started

    wait = 0.5 * statistics.median(step(ahead, 0.0) for _ in range(6))
    # in turn, so that all three meet the same machine; a step beforehand has read what the next one takes
    rounds = []
    for _ in range(12):
        free, _ = step(ahead, 0.0), step(ahead, wait)
        rounds.append((free, step(ahead, wait), step(slow, wait)))
    free, hidden, waiting = (statistics.median(column) for column in zip(*rounds, strict=True))
    say(
        capsys,
        f"step {1e3 * free:.0f} ms; reading waits {1e3 * wait:.0f} ms: read ahead {1e3 * hidden:.0f} ms, "
        f"read in turn {1e3 * waiting:.0f} ms; {1 - (hidden - free) / wait:.0%} of the wait is hidden",
    )


READER = """
import sys
from moedsr.store.store import SurfaceStore
def private():
    lines = open("/proc/self/smaps_rollup").read().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
store = SurfaceStore.open(sys.argv[1])
store.protein(store.names()[0]).frame(0)
before = private()
for name in store.names():
    protein = store.protein(name)
    for index in range(len(protein)):
        protein.frame(index)
print(private() - before)
sys.stdout.flush()
sys.stdin.read()
"""


def test_private_memory_of_two_workers(store: SurfaceStore, capsys: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-c", READER, str(store.path)]
    workers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    grown = [int(worker.stdout.readline()) for worker in workers if worker.stdout is not None]
    for worker in workers:
        worker.communicate()
    size = sum(entry.size for entry in store.entries.values()) / 1024
    say(capsys, f"store of {size / 1024:.1f} MiB read whole by two workers: private memory grew by {grown} KiB")


def test_bytes_of_a_point(store: SurfaceStore, capsys: pytest.CaptureFixture[str]) -> None:
    points = sum(entry.frames for entry in store.entries.values()) * SETTINGS.surface_points
    size = sum(entry.size for entry in store.entries.values())
    say(capsys, f"{size / points:.1f} bytes a point with atoms and occupancy, 11 for the point itself")
