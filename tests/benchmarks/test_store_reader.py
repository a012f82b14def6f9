"""The store as a training worker reads it: one frame, one batch beside one step, the memory of two workers.

Also what a trajectory costs in memory, by its length. Nothing is asserted about time or memory.
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from mdtraj.formats import XTCTrajectoryFile
from safetensors.numpy import load_file

from moedsr.config import Config, DataConfig, PrepareConfig
from moedsr.data.batches import BatchSampler
from moedsr.data.ensemble import find_ensembles
from moedsr.data.prepare import prepare_serially
from moedsr.data.store import SurfaceStore
from moedsr.trainer import Trainer

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


READER = """
import sys
from moedsr.data.store import SurfaceStore
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


PEAK = """
import resource, sys
from pathlib import Path
from moedsr.data.frame_plan import plan_frames
from moedsr.data.trajectory import frame_count, load_structure, read_frames
structure = load_structure(Path(sys.argv[1]))
count = frame_count(Path(sys.argv[2]), structure)
frames = sum(1 for _ in read_frames(structure, [Path(sys.argv[2])], plan_frames([count], 100, "concat")))
print(count, frames, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_peak_memory_of_long_trajectories(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ensemble = next(one for one in find_ensembles("mini-atlas") if one.name == "1ppe_I")
    with XTCTrajectoryFile(str(ensemble.trajectories[0])) as file:
        frames = file.read()[0]
    for count in (1001, 10001):
        path = tmp_path / f"{count}.xtc"
        with XTCTrajectoryFile(str(path), "w") as file:
            for start in range(0, count, 100):
                file.write(frames[: min(100, count - start)])
        command = [sys.executable, "-c", PEAK, str(ensemble.topology), str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        held, read, peak = map(int, done.stdout.split())
        size = path.stat().st_size / 2**20
        say(capsys, f"{held} frames ({size:.0f} MiB), {read} read: peak {peak / 1024:.0f} MiB resident")
