"""`moedsr data prepare`: stopped, killed, with bad proteins among good ones, on one core and on two."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from moedsr.config import PrepareConfig
from moedsr.store.prepare import prepare_serially
from moedsr.store.store import check_store
from moedsr.structures.ensemble import find_ensembles

pytest.importorskip("ray")

SETTINGS = PrepareConfig(frames=6, surface_points=300, occupancy_grid=48)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Three sound entries, one with a trajectory cut short, one without any."""
    folder = tmp_path / "source"
    bundled = {one.name: one.topology.parent for one in find_ensembles("mini-atlas")}
    for name in ("1l2y_A", "1vii_A", "1crn_A", "1gl1_I"):
        shutil.copytree(bundled[name], folder / name)
    (folder / "none_A").mkdir()
    shutil.copy(bundled["1l2y_A"] / "1l2y_A.pdb", folder / "none_A" / "none_A.pdb")
    cut = folder / "1gl1_I" / "1gl1_I_R2.xtc"
    cut.write_bytes(cut.read_bytes()[:-100])
    return folder


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    file = tmp_path / "settings.yaml"
    file.write_text(json.dumps(SETTINGS.model_dump(mode="json")))
    return file


def start(source: Path, store: Path, settings: Path, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "moedsr_platform", "data", "prepare", str(source), "--out", str(store)]
    return subprocess.Popen(
        [*command, "--settings", str(settings)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"} | environment,
    )


def wait_for(process: subprocess.Popen[str], beginning: str) -> None:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith(beginning):
            return
    pytest.fail(f"no line `{beginning}…` in {lines}: {process.communicate()[1]}")


def files(store: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store.iterdir()}


def test_stopped_then_with_bad_proteins_then_whole(source: Path, settings: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    process = start(source, store, settings)
    wait_for(process, "preparing 5 proteins")
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM
    assert len(errors.splitlines()) == 1
    assert "of 5 proteins prepared; the same command goes on from there" in errors

    process = start(source, store, settings)
    output, errors = process.communicate(timeout=300)
    assert (process.returncode, errors) == (0, "")
    assert "set aside (see manifest.json), 2 proteins; the same command tries them again:" in output
    set_aside = json.loads((store / "manifest.json").read_text())["set_aside"]
    assert set(set_aside) == {"1gl1_I", "none_A"}
    assert "1gl1_I_R2.xtc" in set_aside["1gl1_I"]
    assert "no trajectory beside it" in set_aside["none_A"]
    assert check_store(store).names() == ["1crn_A", "1l2y_A", "1vii_A"]

    # repaired, they are taken up; the others are kept as they are
    times = {path: path.stat().st_mtime_ns for path in store.glob("*.safetensors")}
    whole = next(one for one in find_ensembles("mini-atlas") if one.name == "1gl1_I")
    shutil.copy(whole.trajectories[1], source / "1gl1_I" / "1gl1_I_R2.xtc")
    shutil.rmtree(source / "none_A")
    process = start(source, store, settings)
    output, errors = process.communicate(timeout=300)
    assert (process.returncode, errors) == (0, "")
    assert "set aside" not in output
    assert all(path.stat().st_mtime_ns == before for path, before in times.items())

    # one process, one core: the same bytes
    alone = prepare_serially(source, SETTINGS, tmp_path / "alone")
    assert files(store) == files(alone.path)


@pytest.mark.slow
def test_killed_at_random_moments(settings: Path, tmp_path: Path) -> None:
    """The command itself, and with it a whole Ray, killed with SIGKILL: at its start, at work and at its end."""
    alone = prepare_serially("mini-atlas", SETTINGS, tmp_path / "alone")
    store, chance = tmp_path / "store", random.Random()
    for kill in range(8):
        process = start(Path("mini-atlas"), store, settings)
        if kill % 4:
            wait_for(process, "preparing 6 proteins")
        time.sleep(chance.uniform(0, 4))
        process.kill()
        process.communicate()
        assert process.returncode in (0, -signal.SIGKILL)
        kept = {path: path.stat().st_mtime_ns for path in store.glob("*.safetensors")}
    process = start(Path("mini-atlas"), store, settings)
    _, errors = process.communicate(timeout=300)
    assert (process.returncode, errors) == (0, "")
    assert all(path.stat().st_mtime_ns == before for path, before in kept.items())
    assert files(store) == files(alone.path)


def workers_at_work(mark: str) -> list[int]:
    """Processes that prepare a protein at this moment, of the command whose environment has the mark."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            at_work = (entry / "cmdline").read_bytes().startswith(b"ray::prepare_anywhere")
            if at_work and f"PREPARE_MARK={mark}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue  # gone, or not ours
    return found


@pytest.mark.slow
def test_single_workers_killed_at_random_moments(settings: Path, tmp_path: Path) -> None:
    """The command goes on with other workers; a protein that lost three of them is set aside and taken up again."""
    alone = prepare_serially("mini-atlas", SETTINGS, tmp_path / "alone")
    store, chance, kills = tmp_path / "store", random.Random(), 0
    process = start(Path("mini-atlas"), store, settings, PREPARE_MARK=str(tmp_path))
    while process.poll() is None and kills < 8:
        time.sleep(chance.uniform(0, 0.4))
        for pid in workers_at_work(str(tmp_path))[:1]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                kills += 1
    output, errors = process.communicate(timeout=600)
    assert kills
    assert (process.returncode, errors) == (0, ""), output
    lost = json.loads((store / "manifest.json").read_text())["set_aside"]
    assert all(reason.startswith("its worker was lost three times") for reason in lost.values())
    kept = {path: path.stat().st_mtime_ns for path in store.glob("*.safetensors")}
    process = start(Path("mini-atlas"), store, settings)
    _, errors = process.communicate(timeout=600)
    assert (process.returncode, errors) == (0, "")
    assert all(path.stat().st_mtime_ns == before for path, before in kept.items())
    assert files(store) == files(alone.path)
