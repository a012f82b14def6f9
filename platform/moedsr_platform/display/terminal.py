"""What commands show: tables, and progress that becomes plain lines where the output is not a terminal."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table as RichTable

from moedsr_platform.display.tables import Table

_NARROW = 7  # characters that any column may have
_GAP, _EDGES = 3, 2  # characters between columns, and left and right of all
PIPED_WIDTH = 200  # a table written to a file must not be cut at 80 columns


class Advance(Protocol):
    """Call once for each finished piece, with a few words on it."""

    def __call__(self, message: str) -> None: ...


def output() -> Console:
    """Standard output; wide where it is not a terminal."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)


def show(table: Table) -> None:
    """Print a table with its title and note; what is too wide in blocks of columns, the first column in each."""
    console = output()
    cells = [max((len(row[place]) for row in table.rows), default=0) for place in range(len(table.columns))]
    heads = list(table.columns)
    if _width(list(map(len, heads)), cells) > console.width:
        heads = [_folded(head, max(width, _NARROW)) for head, width in zip(heads, cells, strict=True)]
    widths = [max(width, *map(len, head.split("\n"))) for head, width in zip(heads, cells, strict=True)]
    right = table.right_aligned()
    for number, block in enumerate(_blocks(widths, console.width)):
        title = table.title if number == 0 else None
        rich = RichTable(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
        for place in block:
            rich.add_column(heads[place], justify="right" if right[place] else "left", overflow="fold")
        for row in table.rows:
            rich.add_row(*(row[place] for place in block))
        console.print(rich)
    if table.note:
        console.print(table.note, soft_wrap=True, markup=False)


def _width(heads: list[int], cells: list[int]) -> int:
    return sum(max(pair) + _GAP for pair in zip(heads, cells, strict=True)) - _GAP + _EDGES


def _blocks(widths: list[int], room: int) -> list[list[int]]:
    """Places of the columns that fit beside each other; every block begins with the first column."""
    first = widths[0] + _EDGES
    blocks, used = [[0]], first
    for place in range(1, len(widths)):
        if used + _GAP + widths[place] > room and len(blocks[-1]) > 1:
            blocks.append([0])
            used = first
        blocks[-1].append(place)
        used += _GAP + widths[place]
    return blocks


def _folded(head: str, width: int) -> str:
    """In lines of about that width, broken behind a space, a dot or a _, never in the middle of a word."""
    lines = [""]
    for part in re.split(r"(?<=[_. ])", head):
        if lines[-1] and len(lines[-1] + part) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


@contextmanager
def progress(title: str, total: int) -> Iterator[Advance]:
    """A bar on a terminal, else one line on stderr for each piece."""
    if sys.stderr.isatty():
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(title, total=total)
            yield lambda message: bar.update(task, advance=1, description=message)
        return
    done = 0

    def line(message: str) -> None:
        nonlocal done
        done += 1
        print(f"{title} {done}/{total}: {message}", file=sys.stderr, flush=True)  # noqa: T201

    yield line
