"""A queue that sends to the tracking store in the background, in order, in batches, and patiently.

The driver must never wait for the store: it hands over and goes on. While the store is away, what was handed
over waits here and is sent again, so an outage of minutes costs nothing.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

log = logging.getLogger(__name__)

Point = tuple[str, float, int, int]
"""Metric name, value, step, time stamp in ms. The stamp is fixed at hand-over: sent twice, stored once."""

BATCH = 1000  # metrics in one request, MLflow's limit
GATHER_SECONDS = 0.5  # how long metrics wait for company
PATIENCE = (0.5, 1, 2, 4, 8, 15)  # seconds between attempts; the last one repeats


@dataclass(frozen=True)
class _Task:
    run_id: str
    label: str
    action: Callable[[], None]


class Outbox:
    """Order is kept per run: metrics handed over before a task of the same run are sent before it.

    Args:
        send_points: sends at most ``BATCH`` points of one run; raises when the store does not take them.
        permanent: says whether an error would come back however often it is tried; such work is dropped
            with a warning, so that it does not block what comes after it.
    """

    def __init__(self, send_points: Callable[[str, list[Point]], None], permanent: Callable[[Exception], bool]) -> None:
        self._send_points = send_points
        self._permanent = permanent
        self._pending: list[_Task | tuple[str, list[Point]]] = []
        self._changed = threading.Condition()
        self._busy = False
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="moedsr-tracking", daemon=True)
        self._thread.start()

    def points(self, run_id: str, points: list[Point]) -> None:
        """Hand over metrics."""
        self._put((run_id, points))

    def task(self, run_id: str, label: str, action: Callable[[], None]) -> None:
        """Hand over anything else; ``label`` names it in warnings."""
        self._put(_Task(run_id, label, action))

    def drain(self, timeout: float = 60.0) -> bool:
        """Wait until all is sent.

        Returns:
            False when the time ran out first.
        """
        with self._changed:
            return self._changed.wait_for(lambda: not self._pending and not self._busy, timeout)

    def close(self, timeout: float = 60.0) -> bool:
        """Send what is left, then stop; what cannot be sent in time is given up with a warning."""
        sent = self.drain(timeout)
        self._closed.set()
        with self._changed:
            if not sent:
                log.warning("tracking: the store did not take everything within %g s; the rest is lost", timeout)
            self._changed.notify_all()
        self._thread.join(timeout=5)
        return sent

    def _put(self, record: "_Task | tuple[str, list[Point]]") -> None:
        if self._closed.is_set():
            raise RuntimeError("the outbox is closed")
        with self._changed:
            self._pending.append(record)
            self._changed.notify_all()

    def _work(self) -> None:
        while not self._closed.is_set():
            with self._changed:
                self._changed.wait_for(lambda: bool(self._pending) or self._closed.is_set())
                gather = bool(self._pending) and not any(isinstance(item, _Task) for item in self._pending)
            if gather:
                self._closed.wait(GATHER_SECONDS)
            with self._changed:
                batch, self._pending, self._busy = self._pending, [], True
            self._send(batch)
            with self._changed:
                self._busy = False
                self._changed.notify_all()

    def _send(self, batch: "list[_Task | tuple[str, list[Point]]]") -> None:
        waiting: dict[str, list[Point]] = {}
        for record in batch:
            if isinstance(record, _Task):
                self._flush(record.run_id, waiting.pop(record.run_id, []))
                self._attempt(record.label, record.action)
            else:
                waiting.setdefault(record[0], []).extend(record[1])
        for run_id, points in waiting.items():
            self._flush(run_id, points)

    def _flush(self, run_id: str, points: list[Point]) -> None:
        for start in range(0, len(points), BATCH):
            part = points[start : start + BATCH]
            self._attempt(f"{len(part)} metrics of run {run_id}", partial(self._send_points, run_id, part))

    def _attempt(self, label: str, action: Callable[[], None]) -> None:
        attempt = 0
        while True:
            try:
                return action()
            except Exception as error:
                if self._permanent(error):
                    log.warning("tracking: %s was not stored: %s", label, error)
                    return None
                pause = PATIENCE[min(attempt, len(PATIENCE) - 1)]
                log.warning("tracking: %s not stored yet (%s); again in %g s", label, type(error).__name__, pause)
                attempt += 1
                if self._closed.wait(pause):
                    return None
