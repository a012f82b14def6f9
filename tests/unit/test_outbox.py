"""The queue: order, batches, patience, and what a later process finds."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from moedsr_platform.tracking import outbox as module
from moedsr_platform.tracking.journal import Journal, Request, is_waiting
from moedsr_platform.tracking.outbox import BATCH, Outbox, Point


class Store:
    """Records what arrives; refuses the first ``failures`` requests."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.seen: list[tuple[str, Any]] = []

    def send(self, request: Request) -> None:
        if self.failures:
            self.failures -= 1
            raise ConnectionError("away")
        what = [step for _, _, step, _ in request["points"]] if request["kind"] == "points" else request["kind"]
        self.seen.append((request["run"], what))

    def of_run(self, run: str) -> list[Any]:
        """What arrived for a run, batches joined."""
        flat: list[Any] = []
        for name, what in self.seen:
            if name == run:
                flat.extend(what if isinstance(what, list) else [what])
        return flat


def points(run: str, *steps: int) -> Request:
    found: list[Point] = [("loss", 1.0, step, 0) for step in steps]
    return {"kind": "points", "run": run, "points": found}


def end(run: str) -> Request:
    return {"kind": "end", "run": run}


Open = Callable[..., Outbox]


@pytest.fixture
def open_box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    monkeypatch.setattr(module, "GATHER_SECONDS", 0.02)
    monkeypatch.setattr(module, "PATIENCE", (0.01,))
    return lambda store, permanent=False: Outbox(Journal(tmp_path), store.send, lambda error: permanent)


def test_order_within_a_run_is_kept(open_box: Open) -> None:
    store = Store()
    box = open_box(store)
    for step in range(50):
        box.put(points("a", step))
        box.put(points("b", step))
        if step == 20:
            box.put({"kind": "checkpoint", "run": "a"})
    box.put(end("a"))
    assert box.close()
    assert store.of_run("a") == [*range(21), "checkpoint", *range(21, 50), "end"]
    assert store.of_run("b") == list(range(50))
    assert len(store.seen) < 60  # batched


def test_large_histories_are_cut_to_what_one_request_takes(open_box: Open) -> None:
    store = Store()
    box = open_box(store)
    box.put(points("a", *range(2 * BATCH + 5)))
    assert box.close()
    assert [len(what) for _, what in store.seen] == [BATCH, BATCH, 5]


def test_a_store_that_is_away_for_a_while_loses_nothing(open_box: Open, caplog: pytest.LogCaptureFixture) -> None:
    store = Store(failures=5)
    box = open_box(store)
    box.put(points("a", 1, 2))
    box.put(end("a"))
    assert box.close()
    assert store.of_run("a") == [1, 2, "end"]
    assert [record.message for record in caplog.records] == [
        "tracking: the store does not answer (ConnectionError: away); keeping on trying",
        "tracking: the store answers again",
    ]


def test_a_refused_request_does_not_block_the_next(open_box: Open, caplog: pytest.LogCaptureFixture) -> None:
    store = Store(failures=1)
    box = open_box(store, permanent=True)
    box.put(points("a", 1))
    box.put(end("a"))
    assert box.close()
    assert store.seen == [("a", "end")]
    assert "points of a was not stored: ConnectionError: away" in caplog.text


def test_handing_over_never_waits_for_the_store(open_box: Open) -> None:
    released = threading.Event()

    class Slow(Store):
        def send(self, request: Request) -> None:
            released.wait(10)
            super().send(request)

    box = open_box(Slow())
    box.put(end("a"))
    box.put(points("a", 1))  # returns while the store is busy
    assert not box.drain(timeout=0.05)
    assert box.waiting == 2
    released.set()
    assert box.close()
    assert box.waiting == 0


def test_what_cannot_be_sent_in_time_is_sent_by_the_next_process(open_box: Open, tmp_path: Path) -> None:
    box = open_box(Store(failures=10**9))
    box.put(points("a", 1, 2))
    box.put(end("a"))
    assert not box.close(timeout=0.1)
    assert is_waiting(tmp_path)
    store = Store()
    again = open_box(store)
    assert again.found == 2
    again.put(points("b", 3))
    assert again.close()
    assert store.seen == [("a", [1, 2]), ("a", "end"), ("b", [3])]
    assert not is_waiting(tmp_path)


def test_a_full_disk_ends_nothing(open_box: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Journal, request: Request) -> int:
        raise OSError("no space left on device")

    monkeypatch.setattr(Journal, "append", full)
    store = Store()
    box = open_box(store)
    box.put(points("a", 1))
    assert box.close()
    assert store.of_run("a") == [1]
