"""An object store as programs meet it: S3, as moto serves it on loopback."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from secrets import token_hex
from typing import Any

import pytest


class S3Server:
    """Serves what this process keeps in memory; it can go away and come back with all of it.

    Attributes:
        address: of the server.
    """

    def __init__(self) -> None:
        server = pytest.importorskip("moto.server")
        self._application = server.DomainDispatcherApplication(server.create_backend_app)
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._port = 0
        self.start()
        self.address = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """On the same port as before."""
        serving = pytest.importorskip("werkzeug.serving")
        self._http: Any = serving.make_server("127.0.0.1", self._port, self._application, threaded=True)
        self._port = self._http.port
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """From now on it refuses connections."""
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


@contextmanager
def s3_bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """URL of an empty bucket; the environment of this process, and of those that it starts, leads to its server."""
    with s3_server(monkeypatch) as (_, url):
        yield url


@contextmanager
def s3_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[S3Server, str]]:
    """The same with its server."""
    server = S3Server()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.address)
    import boto3

    bucket = f"bucket-{token_hex(4)}"  # the server's memory is that of this process
    boto3.client("s3", region_name="us-east-1").create_bucket(Bucket=bucket)
    yield server, f"s3://{bucket}"
    server.stop()
