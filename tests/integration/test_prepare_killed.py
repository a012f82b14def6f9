"""Preparation that is killed at random moments goes on, does nothing twice and ends with the same bytes."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from moedsr.config import PrepareConfig
from moedsr.store.prepare import prepare_serially
from moedsr.store.store import SurfaceStore, check_store

SETTINGS = PrepareConfig(frames=8, surface_points=500, occupancy_grid=64)
PROGRAM = """
import sys
from moedsr.config import PrepareConfig
from moedsr.store.prepare import prepare_serially
print("begins", flush=True)
prepare_serially("mini-atlas", PrepareConfig.model_validate_json(sys.argv[1]), __import__("pathlib").Path(sys.argv[2]))
"""


def prepare_and_kill(folder: Path, after: float) -> int:
    """The exit status of a process that is killed so many seconds after it has begun."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, SETTINGS.model_dump_json(), str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begins\n"
    try:
        return process.wait(timeout=after)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
    finally:
        process.stdout.close()


def finished(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.safetensors")}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[SurfaceStore, float]:
    started = time.perf_counter()
    store = prepare_serially("mini-atlas", SETTINGS, tmp_path_factory.mktemp("whole"))
    return store, time.perf_counter() - started


@pytest.mark.parametrize("kills", [3, pytest.param(25, marks=pytest.mark.slow)])
def test_killed_at_random_moments(undisturbed: tuple[SurfaceStore, float], tmp_path: Path, kills: int) -> None:
    store, seconds = undisturbed
    chance = random.Random()
    before: dict[str, int] = {}
    for _ in range(kills):
        # proteins grow in number, so that later kills meet the end too
        status = prepare_and_kill(tmp_path, chance.uniform(0, seconds / 3))
        assert status in (0, -signal.SIGKILL)
        after = finished(tmp_path)
        assert before.items() <= after.items(), "a finished protein was made again"
        before = after
    again = prepare_serially("mini-atlas", SETTINGS, tmp_path)
    assert before.items() <= finished(tmp_path).items()
    assert again.fingerprint == store.fingerprint
    names = sorted(path.name for path in store.path.iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert all((tmp_path / name).read_bytes() == (store.path / name).read_bytes() for name in names)
    check_store(tmp_path)
