"""MLflow's own server on this machine's loopback, with a SQLite file behind it, that is killed again and again."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ray_nodes import free_port
from tracking_server import answers, wait_for


class PlainServer:
    """Runs in a folder of its own; ``start`` returns when it answers."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.uri = f"http://127.0.0.1:{(port := free_port())}"
        self.kills = 0
        self._command = [sys.executable, "-m", "mlflow", "server", "--host=127.0.0.1", f"--port={port}", "--workers=1",
                         f"--backend-store-uri=sqlite:///{folder / 'runs.db'}",
                         f"--artifacts-destination={folder / 'artifacts'}"]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_for(lambda: answers(f"{self.uri}/health"), "MLflow", self._process)

    def kill(self) -> None:
        """kill -9 with its workers."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
            self.kills += 1

    @contextmanager
    def restless(self, chance: random.Random, *, up: float = 4.0, down: float = 2.0) -> Iterator[None]:
        """Within, it is killed and started at random moments; afterwards it runs."""
        over = threading.Event()

        def trouble() -> None:
            while not over.wait(chance.uniform(0, up)):
                self.kill()
                time.sleep(chance.uniform(0, down))
                self.start()

        thread = threading.Thread(target=trouble)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
