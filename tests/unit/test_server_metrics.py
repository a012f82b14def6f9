"""Metrics sent to a server are what MLflow's client would have sent, word for word."""

import json
import math
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import mlflow
import pytest
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException

from moedsr_platform.tracking.outbox import Point
from moedsr_platform.tracking.run_writer import is_permanent
from moedsr_platform.tracking.server_metrics import ServerMetrics

POINTS: list[Point] = [
    ("train/loss", 0.1 + 0.2, 1, 1700000000000), ("train/loss", -1e-320, 2, 1700000000001), ("val/iou", 7.0, 2, 5)
]  # fmt: skip
RUN = "0" * 32


class Recorder(ThreadingHTTPServer):
    """Keeps every request, and gives the same answer to each."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[tuple[str, str, str | None, Any]] = []
        self.answer: tuple[int, Any] = (200, {})
        self.uri = f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Recorder

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.command, self.path, self.headers.get("Authorization"), body))
        status, content = self.server.answer
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "someone")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with Recorder() as recorder:
        threading.Thread(target=recorder.serve_forever, daemon=True).start()
        yield recorder
        recorder.shutdown()


def test_the_request_is_that_of_mlflow(server: Recorder) -> None:
    assert ServerMetrics(server.uri).write(RUN, POINTS)
    client = mlflow.MlflowClient(server.uri)
    client.log_batch(RUN, metrics=[Metric(name, value, stamp, step) for name, value, step, stamp in POINTS])
    ours, theirs = server.requests
    assert ours == theirs
    assert ours[2] is not None
    assert [metric["value"] for metric in ours[3]["metrics"]] == [value for _, value, _, _ in POINTS]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_json_has_no_word_for_goes_through_mlflow(server: Recorder, value: float) -> None:
    assert not ServerMetrics(server.uri).write(RUN, [*POINTS, ("val/iou", value, 3, 9)])
    assert server.requests == []


@pytest.mark.parametrize(
    ("status", "code", "permanent"),
    [
        (400, "INVALID_PARAMETER_VALUE", True),
        (404, "RESOURCE_DOES_NOT_EXIST", True),
        (401, "UNAUTHENTICATED", False),
        (500, "INTERNAL_ERROR", False),
    ],
)
def test_refusals_are_those_of_mlflow(server: Recorder, status: int, code: str, permanent: bool) -> None:
    server.answer = status, {"error_code": code, "message": "no"}
    with pytest.raises(MlflowException) as caught:
        ServerMetrics(server.uri).write(RUN, POINTS)
    assert is_permanent(caught.value) is permanent
