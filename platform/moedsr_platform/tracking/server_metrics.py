"""Metrics to a tracking server by a shorter way than MLflow's client.

MLflow makes several objects of each metric, turns them into text, reads that text and writes it again: 0.02 ms of a
core, five times what the request itself takes. The same request to the same address is written here from the numbers.
"""

import math
from collections.abc import Sequence

from moedsr_platform.tracking.outbox import Point

ADDRESS = "/api/2.0/mlflow/runs/log-batch"
"""Of MLflow's REST interface, which is fixed by its version 2.0."""


class ServerMetrics:
    """One server.

    Args:
        uri: ``http(s)://HOST:PORT``.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri

    def write(self, run_id: str, points: Sequence[Point]) -> bool:
        """Adds points to a run; those that are there already stay once.

        Returns:
            False when MLflow has to be asked instead, since JSON has no word for a value; then nothing was written.

        Raises:
            MlflowException: the server refuses them, or does not answer; as MLflow's client raises it.
        """
        from mlflow.utils.credentials import get_default_host_creds
        from mlflow.utils.rest_utils import http_request, verify_rest_response

        if not all(math.isfinite(value) for _, value, _, _ in points):
            return False
        metrics = [
            {"key": name, "value": value, "timestamp": stamp, "step": step} for name, value, step, stamp in points
        ]
        answer = http_request(
            get_default_host_creds(self._uri), ADDRESS, "POST", json={"run_id": run_id, "metrics": metrics}
        )
        verify_rest_response(answer, ADDRESS)
        return True
