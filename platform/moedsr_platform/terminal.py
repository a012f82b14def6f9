"""What commands show: tables, and progress that becomes plain lines where the output is not a terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table as RichTable

from moedsr_platform.tables import Table

PIPED_WIDTH = 200  # a table written to a file must not be cut at 80 columns


class Advance(Protocol):
    """Call once for each finished piece, with a few words on it."""

    def __call__(self, message: str) -> None: ...


def output() -> Console:
    """Standard output; wide where it is not a terminal."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)


def show(table: Table) -> None:
    """Print a table with its title and note."""
    rich = RichTable(title=table.title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for column, right in zip(table.columns, table.right_aligned(), strict=True):
        rich.add_column(column, justify="right" if right else "left", overflow="fold")
    for row in table.rows:
        rich.add_row(*row)
    console = output()
    console.print(rich)
    if table.note:
        console.print(table.note, soft_wrap=True, markup=False)


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
