"""Metrics straight into the two tables of MLflow's embedded store.

MLflow makes several objects of each metric: 0.1 ms of a core, a share of training that shows where trials log every
step and keep all cores busy. The same rows in two statements take a tenth of it. Where the tables are not as they are
known here, or a point is not what MLflow would take, nothing is written: the caller goes through MLflow then.
"""

import math
import re
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from moedsr_platform.tracking.outbox import Point

COLUMNS = {"key", "value", "timestamp", "run_uuid", "step", "is_nan"}
"""Of both tables: ``metrics`` holds every point, ``latest_metrics`` the last of each key, which MLflow's UI lists."""

PATIENCE = 20.0
"""Seconds to wait for another writer of the file, as MLflow does."""

_NAME = re.compile(r"[\w./-]{1,250}")
_LARGEST = 1.7976931348623157e308  # stands for infinity, as in MLflow
_FIELDS = "(key, value, timestamp, run_uuid, step, is_nan) VALUES (?, ?, ?, ?, ?, ?)"
_ALL = f"INSERT OR IGNORE INTO metrics {_FIELDS}"
_LATEST = f"""INSERT INTO latest_metrics {_FIELDS}
    ON CONFLICT (key, run_uuid) DO UPDATE
    SET value = excluded.value, timestamp = excluded.timestamp, step = excluded.step, is_nan = excluded.is_nan
    WHERE (excluded.step, excluded.timestamp, excluded.value) > (step, timestamp, value)"""

Row = tuple[str, float, int, str, int, bool]


class SqliteMetrics:
    """One store; used by one thread at a time.

    Args:
        path: the SQLite file, which MLflow has made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database: sqlite3.Connection | None = None

    def write(self, run_id: str, points: Sequence[Point]) -> bool:
        """Adds points to an active run, all or none; those that are there already stay once.

        Returns:
            False when MLflow has to be asked instead; then nothing was written.

        Raises:
            sqlite3.OperationalError: the file cannot be written at present.
        """
        if not all(_NAME.fullmatch(name) for name in {name for name, *_ in points}):
            return False
        database = self._connect()
        with database:
            database.execute("BEGIN IMMEDIATE")
            active = "SELECT 1 FROM runs WHERE run_uuid = ? AND lifecycle_stage = 'active'"
            if not self._known(database) or database.execute(active, (run_id,)).fetchone() is None:
                return False
            rows = [_row(run_id, point) for point in points]
            latest = {row[0]: row for row in sorted(rows, key=_age)}
            database.executemany(_ALL, rows)
            database.executemany(_LATEST, latest.values())
        return True

    def close(self) -> None:
        """Closes the file."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _connect(self) -> sqlite3.Connection:
        if self._database is None:
            # opened in the outbox's thread, closed when that has ended
            self._database = sqlite3.connect(
                f"{self._path.as_uri()}?mode=rw", timeout=PATIENCE, uri=True, check_same_thread=False
            )
        return self._database

    @staticmethod
    def _known(database: sqlite3.Connection) -> bool:
        """Looked at each time: another process may migrate the store at any time."""
        return all(
            {name for _, name, *_ in database.execute(f"PRAGMA table_info({table})")} == COLUMNS
            for table in ("metrics", "latest_metrics")
        )


def _row(run_id: str, point: Point) -> Row:
    name, value, step, stamp = point
    missing = math.isnan(value)
    number = 0.0 if missing else min(max(value, -_LARGEST), _LARGEST)
    return name, number, stamp, run_id, step, missing


def _age(row: Row) -> tuple[int, int, float]:
    _, value, stamp, _, step, _ = row
    return step, stamp, value
