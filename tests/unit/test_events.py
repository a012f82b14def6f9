"""How Tune's loop is left."""

from types import SimpleNamespace
from typing import Any

import pytest

from moedsr_platform.display.board import Board
from moedsr_platform.interruption import Interruption
from moedsr_platform.sweep.events import SessionOver, SweepListener, TrialEvents
from moedsr_platform.sweep_file.schema import Resources


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> SweepListener:
    """Of a sweep of one trial, on a cluster that must not be asked."""
    board = Board(metric="val/iou", mode="max", total=1, steps=10)
    parts: dict[str, Any] = dict.fromkeys(("log", "folder", "display", "tracker", "parent", "again"))
    spec = SimpleNamespace(resources=Resources())
    made = SweepListener(
        board=board, tags={}, spec=spec, interruption=Interruption(), cluster=None, **parts  # type: ignore[arg-type]
    )  # fmt: skip
    monkeypatch.setattr(TrialEvents, "listener", made)
    return made


def test_the_last_end_leaves_it_and_asks_nothing_of_ray(listener: SweepListener) -> None:
    listener.board.ask("t1", {})
    listener.board.report("t1", 10, {"val/iou": 0.5}, None)
    listener.board.end("t1", None)
    with pytest.raises(SessionOver):
        TrialEvents().on_step_end(1, [])


def test_whoever_catches_errors_does_not_stop_it() -> None:
    """As Tune does, to clean up what Ray may be too dead to clean up."""
    assert not issubclass(SessionOver, Exception)
