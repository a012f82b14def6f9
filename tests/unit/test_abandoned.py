"""A driver that is killed: its runs are not shown as running for ever."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from tracking_server import free_port

from moedsr_platform.cli import main
from moedsr_platform.sweep.abandoned import is_abandoned
from moedsr_platform.sweep.folder import SweepFolder
from moedsr_platform.sweep.lock import is_held, only_here
from moedsr_platform.tracking.journal import Journal
from moedsr_platform.tracking.tracker import Tracker

DRIVER = """
import os, sys, time
from pathlib import Path
from moedsr.config import Config
from moedsr_platform.sweep.abandoned import outlive
from moedsr_platform.sweep.folder import SweepFolder
from moedsr_platform.sweep.lock import only_here
from moedsr_platform.tracking.tracker import Tracker
folder = SweepFolder(Path(sys.argv[1]))
away = "MLFLOW_TRACKING_URI" in os.environ
with only_here(folder.lock, "s"), Tracker.open(folder=folder.tracking, away=away) as tracker:
    sweep = tracker.sweep_run("s", {}, {})
    config = Config.model_validate_json('{"data": {"source": "mini-atlas"}}')
    ended, _ = (tracker.trial_run(sweep, name, config, {}) for name in ("t1", "t2"))
    tracker.finish_trial(ended, "COMPLETE")
    tracker.drain(0.1 if away else 60)
    outlive(folder.path)
    print("runs", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SweepFolder:
    monkeypatch.setenv("MOEDSR_HOME", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = SweepFolder(tmp_path / "sweeps" / "s")
    folder.path.mkdir(parents=True)
    return folder


@pytest.fixture
def nobody_answers(folder: SweepFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")


@pytest.fixture
def driver(folder: SweepFolder) -> "Iterator[subprocess.Popen[str]]":
    process = subprocess.Popen([sys.executable, "-c", DRIVER, str(folder.path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "runs\n"
    yield process
    process.kill()
    process.wait()


def states() -> list[tuple[str, str, str]]:
    with Tracker.open() as tracker:
        runs = tracker.client.search_runs([tracker.experiment_id], order_by=["start_time ASC"])
    return [(run.data.tags["moedsr.kind"], run.info.status, run.data.tags["moedsr.state"]) for run in runs]


RUN = [("sweep", "RUNNING", "RUNNING"), ("trial", "FINISHED", "COMPLETE"), ("trial", "RUNNING", "RUNNING")]
CLOSED = [("sweep", "KILLED", "WAITING"), ("trial", "FINISHED", "COMPLETE"), ("trial", "KILLED", "WAITING")]


def test_somebody_outlives_the_driver_and_closes_its_runs(folder: SweepFolder, driver: "subprocess.Popen[str]") -> None:
    assert not is_abandoned(folder)
    assert states() == RUN
    driver.kill()
    driver.wait()
    deadline = time.monotonic() + 60
    while states() != CLOSED:
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_where_nobody_outlives_it_sync_closes_them(folder: SweepFolder, driver: "subprocess.Popen[str]") -> None:
    for pid in (*children(driver.pid), driver.pid):
        os.kill(pid, signal.SIGKILL)
    driver.wait()
    assert states() == RUN
    done = CliRunner().invoke(main, ["sync"])
    assert done.output == "s: its driver was killed; 2 runs are closed until --resume goes on\n"
    assert states() == CLOSED
    assert CliRunner().invoke(main, ["sync"]).output == "nothing waits to be sent\n"
    folder.finished.touch()
    assert not is_abandoned(folder)


def test_so_does_the_ui_which_opens_also_where_somebody_else_is_at_it(
    folder: SweepFolder, driver: "subprocess.Popen[str]", monkeypatch: pytest.MonkeyPatch
) -> None:
    for pid in (*children(driver.pid), driver.pid):
        os.kill(pid, signal.SIGKILL)
    driver.wait()
    opened: list[str] = []
    for name in ("PYTHONWARNINGS", "MLFLOW_DISABLE_TELEMETRY", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION"):
        monkeypatch.setenv(name, "")  # which the command sets for the server that takes its place
    monkeypatch.setattr(os, "execv", lambda program, command: opened.append(program))
    monkeypatch.setattr("moedsr_platform.tracking.journal.LOCK_SECONDS", 0.1)
    journal = Journal(folder.tracking)
    done = CliRunner().invoke(main, ["ui", "--port", str(free_port())])
    journal.close()
    assert (done.exit_code, len(opened), states()) == (0, 1, RUN), done.output
    assert CliRunner().invoke(main, ["ui", "--port", str(free_port())]).exit_code == 0
    assert states() == CLOSED


@pytest.mark.usefixtures("nobody_answers")
def test_it_makes_way_for_whoever_goes_on_while_the_server_is_away(
    folder: SweepFolder, driver: "subprocess.Popen[str]"
) -> None:
    """It holds what waits to be sent, and has the patience to try for more than a minute."""
    (watcher,) = children(driver.pid)
    driver.kill()
    driver.wait()
    deadline = time.monotonic() + 60
    while not is_held(folder.tracking / "requests.jsonl"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    with only_here(folder.lock, "s"):
        journal = Journal(folder.tracking)
        assert journal.unsent()
        journal.close()
    while Path(f"/proc/{watcher}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
