"""An object store as programs meet it: S3, as moto serves it on loopback."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from secrets import token_hex

import pytest


@contextmanager
def s3_bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """URL of an empty bucket; the environment of this process, and of those that it starts, leads to its server."""
    server = pytest.importorskip("moto.server")
    serving = pytest.importorskip("werkzeug.serving")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    http = serving.make_server(
        "127.0.0.1", 0, server.DomainDispatcherApplication(server.create_backend_app), threaded=True
    )
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{http.port}")
    import boto3

    bucket = f"bucket-{token_hex(4)}"  # the server's memory is that of this process
    boto3.client("s3", region_name="us-east-1").create_bucket(Bucket=bucket)
    yield f"s3://{bucket}"
    http.shutdown()
    thread.join()
