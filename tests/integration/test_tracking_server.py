"""The team's tracking server for real: PostgreSQL, S3 and log-in; it is killed, and nothing is lost."""

import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import tracking_server
from tracking_server import TrackingServer

from moedsr.config import Config
from moedsr.errors import InputError
from moedsr_platform.tracking import outbox
from moedsr_platform.tracking.client import connect
from moedsr_platform.tracking.tracker import Tracker

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(tracking_server.missing() is not None, reason=f"needs {tracking_server.missing()}"),
]

CONFIG = Config.model_validate_json('{"data": {"source": "mini-atlas"}}')


@pytest.fixture(scope="module")
def server() -> Iterator[TrackingServer]:
    server = TrackingServer()
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(autouse=True)
def _logged_in(server: TrackingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    for name, value in server.login.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(outbox, "PATIENCE", (0.2,))


def test_who_does_not_log_in_gets_nothing(server: TrackingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{server.uri}/api/2.0/mlflow/experiments/search?max_results=1")
    assert refused.value.code == 401
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "wrong")
    with pytest.raises(InputError, match="MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"):
        connect()


# a driver that tells a server that is away of a trial, and is then killed
KILLED = """
import os, signal, sys
from pathlib import Path
from moedsr_platform.tracking.tracker import Tracker
from moedsr.config import Config
folder = Path(sys.argv[1])
tracker = Tracker.open(experiment="outage", folder=folder / "tracking", away=True)
sweep = tracker.sweep_run("s", {}, {})
trial = tracker.trial_run(sweep, "t1", Config.model_validate_json(sys.argv[2]), {})
for step in range(int(sys.argv[3]), int(sys.argv[4])):
    tracker.log_history(trial, [(step, {"train/loss": 1 / step, "val/iou": step / 1000})])
    if step % 10 == 0:
        tracker.log_checkpoint(trial, folder / "checkpoint")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_server_and_driver_are_killed_and_nothing_is_lost(server: TrackingServer, tmp_path: Path) -> None:
    (tmp_path / "checkpoint").mkdir()
    for name in ("config.json", "model.safetensors", "meta.json"):
        (tmp_path / "checkpoint" / name).write_text("{}")
    with Tracker.open(experiment="outage", folder=tmp_path / "tracking") as tracker:
        sweep = tracker.sweep_run("s", {}, {})
        trial = tracker.trial_run(sweep, "t1", CONFIG, {})
        tracker.log_history(trial, [(step, {"train/loss": 1 / step}) for step in range(1, 50)])
        server.kill()
        tracker.log_history(trial, [(step, {"train/loss": 1 / step}) for step in range(50, 100)])
        assert not tracker.close(timeout=1)
    for first in (100, 200):  # two drivers, one after the other, while the server is away
        command = [sys.executable, "-c", KILLED, str(tmp_path), CONFIG.model_dump_json(), str(first), str(first + 100)]
        subprocess.run(command, check=False, env=os.environ, timeout=120)
    server.start()
    with Tracker.open(experiment="outage", folder=tmp_path / "tracking") as tracker:
        assert tracker.found > 200
        assert tracker.drain()
        run_id = tracker.run_id(trial)
        losses = tracker.client.get_metric_history(run_id, "train/loss")
        assert [(point.step, point.value) for point in losses] == [(step, 1 / step) for step in range(1, 300)]
        assert [point.timestamp for point in losses] == sorted(point.timestamp for point in losses)
        assert len(tracker.client.get_metric_history(run_id, "val/iou")) == 200
        assert len(tracker.client.search_runs([tracker.experiment_id])) == 2
        files = {item.path for item in tracker.client.list_artifacts(run_id, "checkpoint")}
        assert files == {"checkpoint/config.json", "checkpoint/meta.json", "checkpoint/model.safetensors"}
