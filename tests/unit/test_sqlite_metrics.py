"""Metrics written into MLflow's tables are those that MLflow would have written, row for row."""

import math
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import Metric

from moedsr_platform.tracking.client import connect
from moedsr_platform.tracking.outbox import Point
from moedsr_platform.tracking.sqlite_metrics import SqliteMetrics

BATCHES: list[list[Point]] = [
    [("train/loss", 0.5, 1, 1000), ("train/loss", 0.25, 2, 1001), ("val/iou", 0.7, 2, 1001)],
    [("train/loss", math.nan, 3, 1002), ("val/iou", math.inf, 3, 1002), ("perf/x", -math.inf, 3, 1002)],
    [("train/loss", 0.25, 2, 1001), ("train/loss", 0.1, 4, 1003), ("val/iou", 0.1, 2, 2000)],  # sent again, and late
    [("perf/x", 2.0, 3, 1002), ("perf/x", 1.0, 3, 1002)],  # of one moment: the larger is the latest
]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> mlflow.MlflowClient:
    return connect(f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db")


@pytest.fixture
def store(client: mlflow.MlflowClient) -> Iterator[SqliteMetrics]:
    opened = SqliteMetrics(file_of(client))
    yield opened
    opened.close()


def file_of(client: mlflow.MlflowClient) -> Path:
    return Path(client.tracking_uri.removeprefix("sqlite:///"))


def rows(client: mlflow.MlflowClient, table: str, run_id: str) -> set[tuple[object, ...]]:
    with sqlite3.connect(file_of(client)) as database:
        return set(
            database.execute(
                f"SELECT key, value, timestamp, step, is_nan FROM {table} WHERE run_uuid = ?", (run_id,)
            ).fetchall()
        )


def test_the_rows_are_those_of_mlflow(client: mlflow.MlflowClient, store: SqliteMetrics) -> None:
    ours, theirs = (client.create_run("0").info.run_id for _ in range(2))
    for batch in BATCHES:
        assert store.write(ours, batch)
        client.log_batch(theirs, metrics=[Metric(name, value, stamp, step) for name, value, step, stamp in batch])
        for table in ("metrics", "latest_metrics"):
            assert rows(client, table, ours) == rows(client, table, theirs) != set()
    last = client.get_run(ours).data.metrics
    assert last == {"train/loss": 0.1, "val/iou": sys.float_info.max, "perf/x": 2.0}
    assert [point.step for point in client.get_metric_history(ours, "train/loss")] == [1, 2, 3, 4]


@pytest.mark.parametrize("name", ["", "train loss?", "x" * 251])
def test_what_mlflow_may_refuse_is_left_to_it(client: mlflow.MlflowClient, store: SqliteMetrics, name: str) -> None:
    run = client.create_run("0").info.run_id
    assert not store.write(run, [("train/loss", 1.0, 1, 1), (name, 1.0, 1, 1)])
    assert rows(client, "metrics", run) == set()


def test_a_run_that_is_not_there_or_deleted_is_left_to_mlflow(
    client: mlflow.MlflowClient, store: SqliteMetrics
) -> None:
    run = client.create_run("0").info.run_id
    client.delete_run(run)
    assert not store.write(run, BATCHES[0])
    assert not store.write("0" * 32, BATCHES[0])
    assert rows(client, "metrics", run) == set()


def test_tables_of_another_mlflow_are_left_to_it(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as database:
        columns = "key TEXT, value FLOAT, timestamp INT, run_uuid TEXT, step INT, is_nan BOOLEAN"
        database.execute(f"CREATE TABLE metrics ({columns}, unit TEXT)")
        database.execute(f"CREATE TABLE latest_metrics ({columns})")
        database.execute("CREATE TABLE runs (run_uuid TEXT, lifecycle_stage TEXT)")
        database.execute("INSERT INTO runs VALUES ('a', 'active')")
    store = SqliteMetrics(path)
    assert not store.write("a", BATCHES[0])
    store.close()


def test_a_file_that_another_writer_holds_is_waited_for(
    client: mlflow.MlflowClient, store: SqliteMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And then given up for the time being: the outbox tries again."""
    monkeypatch.setattr("moedsr_platform.tracking.sqlite_metrics.PATIENCE", 0.05)
    run = client.create_run("0").info.run_id
    with sqlite3.connect(file_of(client)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            store.write(run, BATCHES[0])
        other.rollback()
    assert store.write(run, BATCHES[0])
    assert len(rows(client, "metrics", run)) == 3
