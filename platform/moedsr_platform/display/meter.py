"""How far a long piece of work is, how fast, and how long still: a bar on a terminal, now and then a line elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

SECONDS_BETWEEN_LINES = 30.0


class Meter:
    """An amount of work, of which more and more is done."""

    def __init__(self, title: str, total: float, rate_text: Callable[[float], str], show: Callable[[str, float], None]):
        """
        Args:
            title: what is under way.
            total: amount of all work.
            rate_text: an amount a second, in words.
            show: gets a line and the share that is done.
        """
        self.title, self.total = title, total
        self._rate_text, self._show = rate_text, show
        self._before = self._done = 0.0
        self._began = time.monotonic()

    def skip(self, amount: float) -> None:
        """An amount that was done before: it counts as done, but not for the rate."""
        self._done += amount
        self._before += amount

    def begin(self) -> None:
        """From now on the rate is measured: what was before was preparation."""
        self._before = self._done
        self._began = time.monotonic()

    def advance(self, amount: float, note: str = "") -> None:
        """An amount that was done now."""
        self._done += amount
        share = min(1.0, self._done / self.total) if self.total else 1.0
        parts = [f"{self.title} {share:.0%}", note, *self._speed()]
        self._show(", ".join(part for part in parts if part), share)

    def _speed(self) -> list[str]:
        elapsed = time.monotonic() - self._began
        done = self._done - self._before
        if elapsed < 1.0 or done <= 0:
            return []
        rate = done / elapsed
        return [self._rate_text(rate), f"{duration(max(0.0, self.total - self._done) / rate)} left"]


def duration(seconds: float) -> str:
    """Seconds in the unit that suits them."""
    for unit, size in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


@contextmanager
def meter(title: str, total: float, rate_text: Callable[[float], str]) -> Iterator[Meter]:
    """A meter shown as a bar on a terminal, else as a line on stderr every half minute and at the end."""
    if sys.stderr.isatty():
        columns = (BarColumn(), TextColumn("{task.description}"))
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(title, total=1.0)
            yield Meter(
                title, total, rate_text, lambda line, share: bar.update(task, description=line, completed=share)
            )
        return
    last = time.monotonic() - SECONDS_BETWEEN_LINES

    def show(line: str, share: float) -> None:
        nonlocal last
        if share >= 1.0 or time.monotonic() - last >= SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            print(line, file=sys.stderr, flush=True)  # noqa: T201

    yield Meter(title, total, rate_text, show)
