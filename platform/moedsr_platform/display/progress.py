"""How a sweep shows what it is doing: a live table on a terminal, plain lines elsewhere."""

import io
import sys
import time
from collections.abc import Sequence
from typing import IO, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from moedsr_platform.display.board import Board, Row, best_line
from moedsr_platform.display.verdict import verdict

_STYLES = {"RUNNING": "cyan", "COMPLETE": "green", "PRUNED": "yellow", "FAIL": "red"}
_WAIT_AT_FIRST = 10.0  # seconds until waiting is worth a line
_LINE_EVERY = 20.0  # seconds between plain lines of one trial, validations apart


class Display(Protocol):
    """What a sweep tells while it runs; ``width``: characters a line, for tables."""

    @property
    def width(self) -> int: ...
    def start(self, board: Board) -> None: ...
    def update(self, row: Row, event: str) -> None: ...
    def say(self, line: str) -> None: ...
    def stop(self) -> None: ...


def display(stream: IO[str] | None = None) -> "Display":
    """The live table when the stream is a terminal, else lines."""
    stream = stream or sys.stdout
    return LiveDisplay(stream) if stream.isatty() else LineDisplay(stream)


class Clock:
    """Time since the start, and an estimate of what is left from the work done since then."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.began = time.monotonic()
        self.done_before = board.done

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.began

    def left(self) -> float | None:
        """Seconds, or None while too little is done to tell."""
        gained = self.board.done - self.done_before
        if gained < 0.02:
            return None
        return self.elapsed * (1 - self.board.done) / gained

    def line(self) -> str:
        """``1:23 elapsed, about 4:00 left``."""
        left = self.left()
        return f"{clock(self.elapsed)} elapsed, " + (
            f"about {clock(left)} left" if left is not None else "time left unknown"
        )


class LineDisplay:
    """One line an event, for logs and pipes; nothing that overwrites itself."""

    width = 160

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._clock: Clock | None = None
        self._last: dict[str, float] = {}

    def start(self, board: Board) -> None:
        self._board = board
        self._clock = Clock(board)

    def update(self, row: Row, event: str) -> None:
        assert self._clock is not None
        if event == "step" and self._clock.elapsed - self._last.get(row.trial_id, -_LINE_EVERY) < _LINE_EVERY:
            return
        again = " again" if row.trial_id in self._last else ""
        self._last[row.trial_id] = self._clock.elapsed
        number, state, params, step, *_ = self._board.cells(row)
        where = f"trial {number} of {self._board.total}"
        if event == "start":
            self.say(f"{where}: started{again}, {params}")
        elif event == "end":
            reason = f": {row.reason}" if row.reason else f", {_value(self._board, row)}"
            self.say(f"{where}: {state}{reason}; {self._clock.line()}")
        else:
            self.say(
                f"{where}: step {step}, {_value(self._board, row)}; {best_line(self._board)}; {self._clock.line()}"
            )

    def say(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()

    def stop(self) -> None:
        pass


class Patience:
    """When it is worth a line that something still waits: after 10 s, 30 s, 90 s, ..., or ``usual`` s more."""

    def __init__(self, usual: float = 0.0) -> None:
        self._since: float | None = None
        self._first = self._pause = _WAIT_AT_FIRST + usual

    def ends(self, *, waiting: bool) -> float | None:
        """To be asked often; seconds since it began to wait, when a line is due."""
        now = time.monotonic()
        if not waiting:
            self._since, self._pause = None, self._first
            return None
        self._since = self._since or now
        waited = now - self._since
        if waited < self._pause:
            return None
        self._pause = max(waited, 1.0) * 3
        return waited


class WaitingNotice:
    """Says now and then that no trial can run because the cluster has no room, or is only starting machines.

    Args:
        display: says it.
        needs: the resources of one trial in words.
        usual: seconds that a trial takes to start where there is room.
    """

    def __init__(self, display: Display, needs: str, usual: float = 0.0) -> None:
        self._display, self._needs = display, needs
        self._patience = Patience(usual)

    def tick(self, given: Sequence[Row]) -> None:
        """``given``: trials that were given to Tune and have not ended."""
        waiting = [row for row in given if row.state == "WAITING"]
        waited = self._patience.ends(waiting=bool(waiting) and len(waiting) == len(given))
        if waited is not None:
            count = f"{len(waiting)} trial{'s wait' if len(waiting) > 1 else ' waits'}"
            self._display.say(
                f"waiting for resources and workers since {clock(waited)}: {count}, "
                f"each needs {self._needs}; `ray status` shows what the cluster has"
            )


class LiveDisplay:
    """A table that is redrawn in place."""

    def __init__(self, stream: IO[str]) -> None:
        self._console = Console(file=stream)
        self._live: Live | None = None

    @property
    def width(self) -> int:
        return self._console.width

    def start(self, board: Board) -> None:
        self._board = board
        self._clock = Clock(board)
        self._live = Live(get_renderable=self._render, console=self._console, refresh_per_second=2, transient=True)
        self._live.start()

    def update(self, row: Row, event: str) -> None:
        pass  # redrawn by the clock

    def say(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True)  # a command that was broken into lines could not be copied

    def stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _render(self) -> Group:
        waiting = self._board.total - sum(row.state != "WAITING" for row in self._board.rows.values())
        footer = f"{best_line(self._board)}; {waiting} waiting; {self._clock.line()}"
        return Group(table(self._board), Text(footer))


def table(board: Board) -> Table:
    """The trials, coloured by state."""
    result = Table(box=None, pad_edge=False)
    for name in board.header():
        result.add_column(name, justify="left" if name in ("state", "parameters") else "right")
    best = board.best
    for row in list(board.rows.values()):
        style = "bold" if row is best else ""
        cells = [Text(cell) for cell in board.cells(row)]
        cells[1].stylize(_STYLES.get(row.state, ""))
        result.add_row(*cells, style=style)
    return result


def result_text(board: Board, *, width: int = 160) -> str:
    """The final table and the best trial, as plain text."""
    plain = io.StringIO()
    Console(file=plain, width=width).print(table(board))
    lines = [line.rstrip() for line in plain.getvalue().splitlines()]
    lines += [f"trial {row.number} failed: {row.reason}" for row in board.rows.values() if row.state == "FAIL"]
    if found := board.seed_rows():
        lines += ["", "mean ± std over seeds, best first:"]
        for params, trials, *cells in found:
            scores = (f"{name} {cell}" for name, cell in zip(board.scores, cells, strict=True) if cell != "-")
            count, comma, stopped = trials.partition(",")
            lines.append(f"{params}: {', '.join(scores)} ({count} trials{comma}{stopped})")
    if front := board.front:
        lines += ["", front_line(board, front)]
    best = board.best
    if best is not None:
        numbers = ", ".join(f"{name} {best.best[name]:.4f}" for name in _SUMMARY if name in best.best)
        lines += ["", f"best: trial {best.number} at step {best.best_step}: {numbers}"]
        sentence = MEMORISED if board.memorised else verdict(best.best, board.metric, board.mode)
        lines += [sentence] if sentence else []
    return "\n".join(lines)


def front_line(board: Board, front: Sequence[Sequence[Row]]) -> str:
    """Which trials are worth choosing between where two objectives are weighed against each other."""
    assert board.second is not None
    names = ", ".join(" and ".join(str(row.number) for row in point) for point in front)
    return f"none is better in both {board.metric} and {board.second[0]} than trials {names}"


MEMORISED = "scored on the frames that were trained on: how well they are held, not how well others are predicted"

_SUMMARY = ("val/iou", "naive/iou", "random/iou", "smoothed/iou", "oracle/iou", "val/gap_closed")


def clock(seconds: float) -> str:
    """``m:ss`` or ``h:mm:ss``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _value(board: Board, row: Row) -> str:
    return f"{board.metric} {row.best[board.metric]:.4f}" if row.best else "not validated yet"
