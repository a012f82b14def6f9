"""Ctrl-C and the scheduler's SIGTERM: stop in order, so that the sweep can go on later."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class Interruption:
    """Whether a signal asked to stop."""

    def __init__(self) -> None:
        self.asked: str | None = None


@contextlib.contextmanager
def watch_signals() -> Iterator[Interruption]:
    """Within, SIGTERM works as SIGINT does: Tune, which handles only that one, saves its state and stops."""
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return

    def on_term(number: int, frame: FrameType | None) -> None:
        interruption.asked = signal.Signals(number).name
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGTERM, on_term)
    try:
        yield interruption
    finally:
        signal.signal(signal.SIGTERM, before)
