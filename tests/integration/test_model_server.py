"""`mlflow models serve` answers a PDB with surfaces."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import builders
import pytest

import moedsr
from moedsr_platform.registry import register
from moedsr_platform.tracking import Tracker

pytestmark = pytest.mark.slow

PDB = Path(moedsr.__file__).parent / "data" / "mini_atlas" / "1l2y_A" / "1l2y_A.pdb"


def test_a_served_model_answers_a_pdb_with_surfaces(tmp_path: Path) -> None:
    config = builders.small_config()
    quick = config.evaluation.model_copy(update={"fit_steps": 2, "fit_points": 50})
    config = config.model_copy(update={"evaluation": quick})
    checkpoint = builders.save_untrained(tmp_path / "checkpoint", config)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    with Tracker.open(uri) as tracker:
        run = tracker.run_id(tracker.trial_run(None, "t", config, {}))
    register(checkpoint, run, metrics={}, uri=uri)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", "models:/moe-dsr@candidate"]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port), "--timeout", "900"]
    # `serve` starts the scoring server by its name alone
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "MLFLOW_TRACKING_URI": uri, "PATH": path, "MLFLOW_DISABLE_TELEMETRY": "true"}
    environment.pop("PYTHONPATH", None)
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            command, env=environment, cwd=tmp_path, stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/ping", server)
        request = {"dataframe_records": [{"pdb": PDB.read_text(), "times": [-1.0, 1.0], "resolution": 24}]}
        answer = ask(f"http://127.0.0.1:{port}/invocations", request)
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
    rows = answer["predictions"]
    assert [(row["structure"], row["time"]) for row in rows] == [(0, -1.0), (0, 1.0)]
    for row in rows:
        assert all(len(vertex) == 3 for vertex in row["vertices"])
        assert max(max(face) for face in row["faces"]) == len(row["vertices"]) - 1


def wait_for(address: str, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        assert server.poll() is None
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    raise AssertionError("the model server does not answer")


def ask(address: str, request: object) -> dict[str, list[dict[str, list[list[float]]]]]:
    body = urllib.request.Request(address, json.dumps(request).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(body, timeout=900) as answer:
        return json.loads(answer.read())
