"""A trial's run as it was at its best validation, whose checkpoint is the one that was kept."""

from typing import TYPE_CHECKING

from moedsr_platform.tracking.sweep_page import BEST

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

VALIDATED = ("val/", "naive/", "random/", "smoothed/", "oracle/", "routing/")
"""Beginnings of the metrics that a validation gives, or that go with it."""


def at_best(client: "MlflowClient", run: "Run", objective: str) -> "Run":
    """The same run, but metrics of validations are those of the best one, where a store's run has the last.

    Args:
        client: of the store.
        run: of a trial.
        objective: the metric that was searched for.
    """
    from mlflow.entities import Metric, RunData, RunTag
    from mlflow.entities import Param as Parameter
    from mlflow.entities import Run as StoredRun

    last = run.data.metrics
    best = last.get(f"{BEST}{objective}")
    if best is None or last.get(objective) == best:
        return run
    found = [point.step for point in client.get_metric_history(run.info.run_id, objective) if point.value == best]
    if not found:
        return run
    metrics = dict(last)
    for name in last:
        if name.startswith(VALIDATED):
            history = {point.step: point.value for point in client.get_metric_history(run.info.run_id, name)}
            metrics[name] = history.get(found[0], last[name])
    data = RunData(
        metrics=[Metric(name, value, 0, found[0]) for name, value in metrics.items()],
        params=[Parameter(name, value) for name, value in run.data.params.items()],
        tags=[RunTag(name, value) for name, value in run.data.tags.items()],
    )
    return StoredRun(run.info, data, run.inputs, run.outputs)
