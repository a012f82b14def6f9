"""A queue that sends to the tracking store in the background, in order, in batches, and patiently.

The driver must never wait for the store: it hands over and goes on. While the store is away, what was handed
over waits in a journal on disk, so that neither an outage nor the driver's own death costs anything.
"""

import logging
import threading
from collections.abc import Callable, Sequence

from moedsr_platform.tracking.journal import Journal, Request

log = logging.getLogger(__name__)

Point = tuple[str, float, int, int]
"""Metric name, value, step, time stamp in ms. The stamp is fixed at hand-over: sent twice, stored once."""

POINTS = "points"
"""The kind of request that carries metrics, under ``points``; those of one run that follow each other are joined."""

BATCH = 1000  # metrics in one request, MLflow's limit
GATHER_SECONDS = 3.0  # how long metrics wait for company: ten in a request cost the store several times as much each
AT_ONCE = 5000  # requests taken from the queue together
PATIENCE = (0.5, 1, 2, 4, 8, 15)  # seconds between attempts; the last one repeats


class Outbox:
    """Order is kept per run; requests other than metrics keep their order among all runs.

    Args:
        journal: keeps what is not sent yet; what an earlier process left there is sent first.
        send: sends one request, with at most ``BATCH`` points; raises when the store does not take it. It must
            bear to be given a request again: the answer to the first may have been lost.
        permanent: says whether an error would come back however often it is tried; such a request is dropped
            with a warning, so that it does not block what comes after it.
    """

    def __init__(
        self, journal: Journal, send: Callable[[Request], None], permanent: Callable[[Exception], bool]
    ) -> None:
        self._journal = journal
        self._send_one = send
        self._permanent = permanent
        self._pending: list[tuple[Request, int]] = journal.unsent()
        self.found = len(self._pending)  # left by an earlier process
        self._changed = threading.Condition()
        self._sending = 0
        self._hurry = threading.Event()
        self._closed = threading.Event()
        self._progress = 0
        self._thread = threading.Thread(target=self._work, name="moedsr-tracking", daemon=True)
        self._thread.start()

    def put(self, request: Request, *, lasting: bool = False) -> None:
        """Hand over a request, which outlives this process then and, where it is ``lasting``, a loss of power."""
        if self._closed.is_set():
            raise RuntimeError("the outbox is closed")
        with self._changed:
            try:
                number = self._journal.append(request)
                if lasting:
                    self._journal.flush()
            except OSError as error:  # a full disk must not end a sweep
                log.warning("tracking: %s cannot be kept on disk (%s), only in memory", request["kind"], error)
                number = 0
            self._pending.append((request, number))
            self._changed.notify_all()

    @property
    def waiting(self) -> int:
        """How many requests are not settled yet."""
        return len(self._pending) + self._sending

    def drain(self, timeout: float = 60.0) -> bool:
        """Wait until all is sent.

        Returns:
            False when nothing more could be sent for ``timeout`` seconds.
        """
        self._hurry.set()
        with self._changed:
            while self.waiting:
                before = self._progress
                done = self._changed.wait_for(
                    lambda before=before: self._progress != before or not self.waiting,  # type: ignore[misc]
                    timeout,
                )
                if not done:
                    return False
        self._hurry.clear()
        return True

    def close(self, timeout: float = 20.0) -> bool:
        """Send what is left, then stop; what cannot be sent stays on disk."""
        sent = self.drain(timeout)
        self._closed.set()
        self._hurry.set()
        with self._changed:
            self._changed.notify_all()
        self._thread.join(timeout=30)  # of a request that is under way
        self._journal.close()
        return sent

    def _work(self) -> None:
        while not self._closed.is_set():
            with self._changed:
                self._changed.wait_for(lambda: bool(self._pending) or self._closed.is_set())
                gather = all(request["kind"] == POINTS for request, _ in self._pending)
            if gather:
                self._hurry.wait(GATHER_SECONDS)
            with self._changed:
                batch, self._pending = self._pending[:AT_ONCE], self._pending[AT_ONCE:]
                self._sending = len(batch)
            complete = self._send([request for request, _ in batch])
            with self._changed:
                if complete and batch:
                    self._journal.sent(max(number for _, number in batch))
                if not complete:
                    self._pending[:0] = batch
                self._sending = 0
                self._changed.notify_all()

    def _send(self, batch: Sequence[Request]) -> bool:
        """Whether all of it is settled: sent, or dropped because it never can be."""
        waiting: dict[str, list[Point]] = {}
        for request in batch:
            run = request["run"]
            if request["kind"] == POINTS:
                waiting.setdefault(run, []).extend(request["points"])
            elif not (self._flush(run, waiting.pop(run, [])) and self._attempt(request)):
                return False
        return all(self._flush(run, points) for run, points in waiting.items())

    def _flush(self, run: str, points: list[Point]) -> bool:
        parts = (points[start : start + BATCH] for start in range(0, len(points), BATCH))
        return all(self._attempt({"kind": POINTS, "run": run, "points": part}) for part in parts)

    def _attempt(self, request: Request) -> bool:
        attempt = 0
        while not (self._closed.is_set() and attempt):
            try:
                self._send_one(request)
            except Exception as error:
                if not self._permanent(error):
                    pause = PATIENCE[min(attempt, len(PATIENCE) - 1)]
                    if attempt == 0:
                        log.warning("tracking: the store does not answer (%s); keeping on trying", _reason(error))
                    attempt += 1
                    self._closed.wait(pause)
                    continue
                log.warning("tracking: %s of %s was not stored: %s", request["kind"], request["run"], _reason(error))
            else:
                if attempt:
                    log.warning("tracking: the store answers again")
            self._progress += 1
            with self._changed:
                self._changed.notify_all()
            return True
        return False


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:120]}" if lines else type(error).__name__
