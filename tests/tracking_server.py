"""The tracking server of cluster/mlflow/compose.yaml on this machine's loopback, without containers.

PostgreSQL runs under a user that is not root, moto stands for S3, and MLflow starts with the command, the environment
and the log-in settings that the compose file gives it.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

COMPOSE = Path(__file__).resolve().parents[1] / "cluster" / "mlflow" / "compose.yaml"
PASSWORD = "correct0horse0battery"
SECRETS = {
    "POSTGRES_PASSWORD": "postgres0secret",
    "S3_SECRET": "s3secret0",
    "MLFLOW_ADMIN_PASSWORD": PASSWORD,
    "MLFLOW_SECRET_KEY": "0123456789abcdef",
}


def postgres_programs() -> Path | None:
    """The folder of initdb and pg_ctl; Debian keeps them off the PATH."""
    found = shutil.which("pg_ctl")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists()), None)


def missing() -> str | None:
    """What this machine lacks to run the server, None when it lacks nothing."""
    import importlib.util

    if postgres_programs() is None:
        return "PostgreSQL (apt install postgresql)"
    modules = [name for name in ("psycopg2", "boto3", "moto", "flask_wtf") if importlib.util.find_spec(name) is None]
    return f"Python packages {', '.join(modules)} (pip install -e .[server])" if modules else None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class TrackingServer:
    """PostgreSQL and S3 from the beginning; MLflow when ``start`` is called, until ``kill`` or ``close``."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="moedsr-server-"))
        self.folder.chmod(0o755)
        self.ports = {"postgres": free_port(), "s3": free_port(), "mlflow": free_port()}
        self.uri = f"http://127.0.0.1:{self.ports['mlflow']}"
        self.login = {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": PASSWORD}
        self._mlflow: subprocess.Popen[bytes] | None = None
        self._service = yaml.safe_load(self._filled_in())["services"]["mlflow"]
        self._start_postgres()
        self._s3 = self._run([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.ports["s3"])])
        wait_for(lambda: answers(f"http://127.0.0.1:{self.ports['s3']}/moto-api/"), "S3")
        self._make_bucket()

    def start(self) -> None:
        """MLflow as the compose file starts it, on loopback."""
        command = [word.replace("0.0.0.0", "127.0.0.1") for word in self._service["command"]]
        command = [word.replace("--port=5000", f"--port={self.ports['mlflow']}") for word in command]
        settings = yaml.safe_load(self._filled_in())["configs"]["auth"]["content"]
        (self.folder / "auth.ini").write_text(settings)
        environment = {**self._service["environment"], "MLFLOW_AUTH_CONFIG_PATH": str(self.folder / "auth.ini")}
        self._mlflow = self._run(
            [sys.executable, "-m", *command], environment | {"MLFLOW_SERVER_ALLOWED_HOSTS": "127.0.0.1:*"}
        )
        wait_for(lambda: answers(f"{self.uri}/health"), "MLflow", self._mlflow)

    def kill(self) -> None:
        """kill -9 of the MLflow server with its workers; runs and artifacts stay."""
        if self._mlflow is not None:
            os.killpg(self._mlflow.pid, signal.SIGKILL)
            self._mlflow.wait()
            self._mlflow = None

    def close(self) -> None:
        """End everything and remove what it wrote."""
        self.kill()
        os.killpg(self._s3.pid, signal.SIGTERM)
        self._s3.wait()
        self._as_other_user("pg_ctl", "-D", str(self.folder / "runs"), "-m", "immediate", "stop")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _filled_in(self) -> str:
        """The compose file with its secrets, and this machine's ports for its services."""
        text = COMPOSE.read_text(encoding="utf-8")
        for name, value in SECRETS.items():
            while (start := text.find("${" + name)) >= 0:
                text = text[:start] + value + text[text.index("}", start) + 1 :]
        text = text.replace("@postgres:5432", f"@127.0.0.1:{self.ports['postgres']}")
        return text.replace("http://s3:9000", f"http://127.0.0.1:{self.ports['s3']}")

    def _start_postgres(self) -> None:
        data, secret = self.folder / "runs", self.folder / "secret"
        data.mkdir()
        secret.write_text(SECRETS["POSTGRES_PASSWORD"])
        if os.getuid() == 0:
            for path in (data, secret):
                shutil.chown(path, "postgres", "postgres")
        self._as_other_user(
            "initdb", "-D", str(data), "-U", "mlflow", "-A", "scram-sha-256", f"--pwfile={secret}", "--no-sync"
        )
        options = f"-p {self.ports['postgres']} -c listen_addresses=127.0.0.1 -c fsync=off -k {data}"
        self._as_other_user("pg_ctl", "-D", str(data), "-l", str(data / "log"), "-o", options, "-w", "start")
        import psycopg2

        address = self._service["environment"]["MLFLOW_BACKEND_STORE_URI"].replace("+psycopg2", "")
        connection = psycopg2.connect(address.rsplit("/", 1)[0] + "/postgres")
        connection.autocommit = True
        connection.cursor().execute("CREATE DATABASE mlflow")
        connection.close()

    def _make_bucket(self) -> None:
        import boto3

        environment = self._service["environment"]
        boto3.client(
            "s3",
            endpoint_url=environment["MLFLOW_S3_ENDPOINT_URL"],
            aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
            region_name="us-east-1",
        ).create_bucket(Bucket="mlflow")

    def _as_other_user(self, program: str, *arguments: str) -> None:
        """PostgreSQL refuses to run as root."""
        folder = postgres_programs()
        assert folder is not None
        prefix = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        with (self.folder / "postgres.log").open("ab") as log:
            subprocess.run([*prefix, str(folder / program), *arguments], check=True, cwd="/", stdout=log, stderr=log)

    def _run(self, command: list[str], environment: dict[str, Any] | None = None) -> "subprocess.Popen[bytes]":
        own = {"MLFLOW_DISABLE_TELEMETRY": "true", "AWS_DEFAULT_REGION": "us-east-1", **(environment or {})}
        with (self.folder / f"{command[2].split('.')[0]}.log").open("ab") as log:
            return subprocess.Popen(
                command,
                env={**os.environ, **own},
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2):
            return True
    except OSError:
        return False


def wait_for(condition: Callable[[], bool], what: str, process: "subprocess.Popen[bytes] | None" = None) -> None:
    deadline = time.monotonic() + 240
    while not condition():
        assert time.monotonic() < deadline, f"{what} does not answer"
        assert process is None or process.poll() is None, f"{what} ended"
        time.sleep(0.3)
