"""Ctrl-C, a closed terminal and the scheduler's SIGTERM: stop in order, so that the sweep can go on later."""

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE_SECONDS = 20
"""How long trials may take to save themselves; the next report of each has to fall into it."""


class Interruption:
    """Whether a signal asked to stop.

    Attributes:
        asked: name of the first signal that came, or another reason to stop.
        patient: the first signal only asks, and whoever set this sees to the end in order; else, and from the
            second signal on, it raises KeyboardInterrupt.
    """

    def __init__(self) -> None:
        self.asked: str | None = None
        self.patient = False
        self._since = 0.0

    @property
    def overdue(self) -> bool:
        """Whether the trials have had their time to save themselves."""
        return self.asked is not None and time.monotonic() - self._since > GRACE_SECONDS

    def listen(self) -> None:
        """Handle the signals from now on; again after something else has taken them, as Ray does when it starts."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) != signal.SIG_IGN:  # under nohup a closed terminal is no matter
                    signal.signal(number, self._hear)

    def ask(self, reason: str) -> None:
        """Stop in order for another reason than a signal."""
        if self.asked is None:
            self.asked, self._since = reason, time.monotonic()

    def _hear(self, number: int, frame: FrameType | None) -> None:
        first = self.asked is None
        self.ask(signal.Signals(number).name)
        if not (first and self.patient):
            raise KeyboardInterrupt


@contextlib.contextmanager
def watch_signals() -> Iterator[Interruption]:
    """Within, signals that ask for the end are heard; afterwards they do what they did before."""
    interruption = Interruption()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    interruption.listen()
    try:
        yield interruption
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)
