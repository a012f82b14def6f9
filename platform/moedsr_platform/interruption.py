"""Ctrl-C, a closed terminal and the scheduler's SIGTERM: what they do to a command from its first moment to its last.

Where nobody waits for what is under way, a signal ends the process at once, with a line. An exception in its stead
would rise from wherever the process just is: a half-imported module, a callback of Ray's that prints and swallows it,
a lock. All that a sweep writes bears to be cut off; who outlives it closes its runs.
"""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn

from moedsr.errors import InterruptedJobError, JobError

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE_SECONDS = 20
"""How long trials may take to save themselves; the next report of each has to fall into it."""

SAME_SECONDS = 0.5
"""Signals so close to each other are one: Ray sends it to every process of a job, and some of them pass it on."""

Handler = Callable[[int, FrameType | None], object] | int | None


class Interruption:
    """Whether a signal asked to stop.

    Args:
        last_words: the line with which a signal ends the process.

    Attributes:
        asked: name of the first signal that came, or another reason to stop.
        patient: the first signal only asks, and whoever set this sees to the end in order; else, and from the
            second signal on, it ends the process.
        reply: the line with which such a first signal is answered at once, where whoever hears of it does not.
    """

    def __init__(self, last_words: Callable[[], str] = lambda: "interrupted") -> None:
        self.asked: str | None = None
        self.patient = False
        self.reply: str | None = None
        self._last_words = last_words
        self._number: int | None = None
        self._since = 0.0

    @property
    def overdue(self) -> bool:
        """Whether the trials have had their time to save themselves."""
        return self.asked is not None and time.monotonic() - self._since > GRACE_SECONDS

    def ask(self, reason: str) -> None:
        """Stop in order for another reason than a signal."""
        if self.asked is None:
            self.asked, self._since = reason, time.monotonic()

    def error(self, line: str) -> JobError:
        """What a job raises that stopped in order."""
        return JobError(line) if self._number is None else InterruptedJobError(line, self._number)

    def hear(self, number: int, frame: FrameType | None) -> None:
        """Handles a signal."""
        if self.asked is None:
            self._number = number
            self.ask(signal.Signals(number).name)
            if self.patient and self.reply is not None:
                tell(f"{self.asked}: {self.reply}")
        if not (self.patient and time.monotonic() - self._since < SAME_SECONDS):
            leave(128 + number, self._last_words())


@contextlib.contextmanager
def watch_signals(last_words: Callable[[], str] = lambda: "interrupted") -> Iterator[Interruption]:
    """Within, signals that ask for the end are heard; afterwards they do what they did before."""
    interruption = Interruption(last_words)
    before = handle(interruption.hear)
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def handle(handler: Handler) -> dict[int, Handler]:
    """Gives the signals to a handler; returns who had them. Only the main thread may; the others leave it alone."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    before: dict[int, Handler] = {}
    for number in SIGNALS:
        known = signal.getsignal(number)
        if known not in (signal.SIG_IGN, None):  # under nohup a closed terminal is no matter
            before[number] = known
            signal.signal(number, handler)
    return before


def at_once(number: int, frame: FrameType | None) -> NoReturn:
    """Handles a signal where nothing has begun yet."""
    leave(128 + number, "interrupted")


def clear_away() -> None:
    """From now on a signal raises KeyboardInterrupt; where it is not this process that handles them, all stays."""
    if signal.getsignal(signal.SIGTERM) is at_once:
        handle(raise_it)
        if signal.getsignal(signal.SIGINT) is raise_it:
            signal.signal(signal.SIGINT, signal.default_int_handler)  # asyncio takes no other for its own


def raise_it(number: int, frame: FrameType | None) -> NoReturn:
    """Handles a signal where files are to be cleared away."""
    raise KeyboardInterrupt(number)


def leave(code: int, line: str) -> NoReturn:
    """Ends this process at once with a line, whatever its threads and its exit handlers would wait for."""
    _flush()
    tell(line)
    os._exit(code)


def end(code: int) -> NoReturn:
    """The same without a word."""
    _flush()
    os._exit(code)


def tell(line: str) -> None:
    """Past the streams: a signal may have come in the middle of their work."""
    with contextlib.suppress(OSError):
        os.write(2, f"moedsr: {line}\n".encode())


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # closed, broken, or in the middle of being written to
            stream.flush()
