"""`mlflow models serve` as a user starts it: a registered model that answers on this machine's loopback."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def served(model: str, python: Path, environment: Mapping[str, str], folder: Path) -> Iterator[str]:
    """The address of a server that runs in the environment of an interpreter; its log is written into the folder."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(python), "-m", "mlflow", "models", "serve", "--model-uri", model, "--env-manager", "local"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--timeout", "900"]
    # `serve` starts the scoring server by its name alone
    path = os.pathsep.join([str(python.parent), environment["PATH"]])
    own = {**environment, "PATH": path, "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(command, env=own, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_for(f"http://127.0.0.1:{port}/ping", server)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def wait_for(address: str, server: "subprocess.Popen[bytes]") -> None:
    """Until it answers; the first start compiles much."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        assert server.poll() is None
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    raise AssertionError("the model server does not answer")


def ask(address: str, record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows that one structure is answered with."""
    body = json.dumps({"dataframe_records": [record]}).encode()
    request = urllib.request.Request(f"{address}/invocations", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=900) as answer:
        rows: list[dict[str, Any]] = json.loads(answer.read())["predictions"]
    return rows
