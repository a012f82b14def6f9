"""The queue: order, batches, patience."""

import threading

import pytest

from moedsr_platform import outbox as module
from moedsr_platform.outbox import BATCH, Outbox, Point


class Store:
    """Records what arrives; refuses the first ``failures`` requests."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.seen: list[tuple[str, object]] = []

    def points(self, run_id: str, points: list[Point]) -> None:
        if self.failures:
            self.failures -= 1
            raise ConnectionError("away")
        self.seen.append((run_id, [step for _, _, step, _ in points]))

    def note(self, run_id: str, what: str):
        return lambda: self.seen.append((run_id, what))


def steps(*numbers: int) -> list[Point]:
    return [("loss", 1.0, number, 0) for number in numbers]


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GATHER_SECONDS", 0.02)
    monkeypatch.setattr(module, "PATIENCE", (0.01,))


def of_run(store: Store, run_id: str) -> list[object]:
    """What arrived for a run, batches joined."""
    flat: list[object] = []
    for name, what in store.seen:
        if name == run_id:
            flat.extend(what if isinstance(what, list) else [what])
    return flat


def test_order_within_a_run_is_kept() -> None:
    store = Store()
    box = Outbox(store.points, lambda error: False)
    for step in range(50):
        box.points("a", steps(step))
        box.points("b", steps(step))
        if step == 20:
            box.task("a", "checkpoint", store.note("a", "checkpoint"))
    box.task("a", "end", store.note("a", "end"))
    assert box.close()
    assert of_run(store, "a") == [*range(21), "checkpoint", *range(21, 50), "end"]
    assert of_run(store, "b") == list(range(50))
    assert len(store.seen) < 60  # batched


def test_large_histories_are_cut_to_what_one_request_takes() -> None:
    store = Store()
    box = Outbox(store.points, lambda error: False)
    box.points("a", steps(*range(2 * BATCH + 5)))
    assert box.close()
    assert [len(what) for _, what in store.seen] == [BATCH, BATCH, 5]


def test_a_store_that_is_away_for_a_while_loses_nothing() -> None:
    store = Store(failures=5)
    box = Outbox(store.points, lambda error: False)
    box.points("a", steps(1, 2))
    box.task("a", "end", store.note("a", "end"))
    assert box.close()
    assert of_run(store, "a") == [1, 2, "end"]


def test_a_refused_record_does_not_block_the_next(caplog: pytest.LogCaptureFixture) -> None:
    store = Store(failures=1)
    box = Outbox(store.points, lambda error: True)
    box.points("a", steps(1))
    box.task("a", "end", store.note("a", "end"))
    assert box.close()
    assert store.seen == [("a", "end")]
    assert "1 metrics of run a was not stored" in caplog.text


def test_handing_over_never_waits_for_the_store() -> None:
    released = threading.Event()
    box = Outbox(lambda run_id, points: None, lambda error: False)
    box.task("a", "slow", lambda: released.wait(10) and None)
    box.points("a", steps(1))  # returns while the store is busy
    assert not box.drain(timeout=0.05)
    released.set()
    assert box.close()


def test_what_cannot_be_sent_in_time_is_said(caplog: pytest.LogCaptureFixture) -> None:
    store = Store(failures=10**9)
    box = Outbox(store.points, lambda error: False)
    box.points("a", steps(1))
    assert not box.close(timeout=0.1)
    assert "did not take everything" in caplog.text
