"""The requests that change runs, one method each; the outbox calls them in the background and repeats what failed."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moedsr.errors import InputError
from moedsr_platform.outbox import Point
from moedsr_platform.routing_report import RoutingHistory
from moedsr_platform.run_artifacts import add_routing

if TYPE_CHECKING:
    from mlflow import MlflowClient

LONGEST_VALUE = 6000  # characters of a parameter
LONGEST_TAG = 5000
BATCH_PARAMS = 100
LOAD_METRIC, ENTROPY_METRIC = "routing/load_", "routing/entropy"


class RunWriter:
    """Knows which steps of which metrics the store has already, so that nothing is stored twice."""

    def __init__(self, client: "MlflowClient") -> None:
        self.client = client
        self.new_runs: set[str] = set()  # made by this process: nothing to look up before the first metric
        self._last_steps: dict[str, dict[str, int]] = {}  # run -> metric -> last step in the store

    def params(self, run_id: str, params: Mapping[str, Any]) -> None:
        """Parameters, in requests of a size that the store takes."""
        from mlflow.entities import Param

        items = [Param(key, _readable(value)[:LONGEST_VALUE]) for key, value in params.items()]
        for start in range(0, len(items), BATCH_PARAMS):
            self.client.log_batch(run_id, params=items[start : start + BATCH_PARAMS])

    def points(self, run_id: str, points: list[Point]) -> None:
        """Metrics; steps that the store has already, from before a resume, are skipped."""
        from mlflow.entities import Metric

        last = self._steps_in_store(run_id)
        ahead = dict(last)
        new = []
        for name, value, step, stamp in points:
            if step > ahead.get(name, -1):
                ahead[name] = step
                new.append(Metric(name, value, stamp, step))
        if new:
            self.client.log_batch(run_id, metrics=new)
        self._last_steps[run_id] = ahead

    def _steps_in_store(self, run_id: str) -> dict[str, int]:
        if run_id not in self._last_steps:
            names = [] if run_id in self.new_runs else list(self.client.get_run(run_id).data.metrics)
            self._last_steps[run_id] = {
                name: max(metric.step for metric in self.client.get_metric_history(run_id, name)) for name in names
            }
        return self._last_steps[run_id]

    def upload(self, run_id: str, staged: Path) -> None:
        """A staged checkpoint with its routing tables and pictures; the staged copy is removed."""
        add_routing(staged, self._routing_history(run_id))
        self.client.log_artifacts(run_id, str(staged))
        shutil.rmtree(staged, ignore_errors=True)

    def _routing_history(self, run_id: str) -> RoutingHistory:
        def points(name: str) -> list[tuple[int, float]]:
            return sorted((metric.step, metric.value) for metric in self.client.get_metric_history(run_id, name))

        names = self._steps_in_store(run_id)
        loads = [name for name in names if name.startswith(LOAD_METRIC)]
        return RoutingHistory(
            loads={int(name.removeprefix(LOAD_METRIC)): points(name) for name in loads},
            entropy=points(ENTROPY_METRIC) if ENTROPY_METRIC in names else [],
        )

    def end(self, run_id: str, status: str, tags: Mapping[str, str]) -> None:
        """Tags, then the status that ends the run."""
        self.tags(run_id, tags)
        self.client.set_terminated(run_id, status)

    def tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Sets tags."""
        from mlflow.entities import RunTag

        self.client.log_batch(run_id, tags=[RunTag(key, str(value)[:LONGEST_TAG]) for key, value in tags.items()])


def is_permanent(error: Exception) -> bool:
    """Errors of the request itself come back however often it is sent; the rest is a store that is away."""
    from mlflow.exceptions import MlflowException, RestException

    if isinstance(error, MlflowException):
        refused = {"INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "BAD_REQUEST", "PERMISSION_DENIED"}
        return error.error_code in refused or (
            isinstance(error, RestException) and error.error_code == "ENDPOINT_NOT_FOUND"
        )
    return isinstance(error, InputError | ValueError | TypeError | KeyError | FileNotFoundError)


def _readable(value: Any) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
