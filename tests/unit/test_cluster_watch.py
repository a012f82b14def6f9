"""When a sweep is told that Ray is gone."""

import time

import pytest

from moedsr_platform.cluster_watch import EVERY_SECONDS, ClusterWatch


def test_it_looks_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now, here, looks = [0.0], [True], []
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    watch = ClusterWatch(lambda: looks.append(now[0]) or here[0])

    def said(seconds: int) -> list[str | None]:
        found = []
        for _ in range(seconds):
            now[0] += 1
            found.append(watch.lost())
        return found

    assert said(30) == [None] * 30
    assert len(looks) == 30 / EVERY_SECONDS
    here[0] = False
    assert "Ray on this machine is gone" in said(int(EVERY_SECONDS))
