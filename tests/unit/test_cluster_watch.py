"""When a sweep is told that Ray is gone."""

import threading
import time

import pytest

from moedsr_platform.cluster.watch import EVERY_SECONDS, ClusterWatch

GONE = "Ray on this machine is gone"


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be set."""
    times = [0.0]
    monkeypatch.setattr("moedsr_platform.cluster.watch.time.monotonic", lambda: times[0])
    return times


def look(watch: ClusterWatch, now: list[float], seconds: int) -> list[str | None]:
    """What it says, second by second, each answer having arrived."""
    found = []
    for _ in range(seconds):
        now[0] += 1
        watch.lost()
        if watch._look.ident is not None:
            watch._look.join()
        found.append(watch.lost())
    return found


def test_it_looks_now_and_then(now: list[float]) -> None:
    here, looks = [True], []
    watch = ClusterWatch(lambda: looks.append(now[0]) or here[0])
    assert look(watch, now, 30) == [None] * 30
    assert len(looks) == 30 / EVERY_SECONDS
    here[0] = False
    assert GONE in look(watch, now, int(EVERY_SECONDS))


def test_a_head_that_does_not_answer_keeps_nobody_waiting(now: list[float]) -> None:
    """It may be the last trial that is waited for."""
    answer, asked = threading.Event(), []
    watch = ClusterWatch(lambda: asked.append(1) or not answer.wait(60))
    begun = time.perf_counter()
    for _ in range(30):
        now[0] += 1
        assert watch.lost() is None
    assert time.perf_counter() - begun < 5
    assert asked == [1]
    answer.set()
    watch._look.join()
    assert watch.lost() == GONE


def test_a_look_that_fails_says_nothing(now: list[float]) -> None:
    assert look(ClusterWatch(lambda: 1 / 0 > 1), now, 10) == [None] * 10
