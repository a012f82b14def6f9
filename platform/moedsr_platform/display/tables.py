"""One table, three forms: terminal, Markdown, CSV."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

NOTHING = "-"
"""A cell without a value."""


@dataclass(frozen=True)
class Table:
    """Cells are text already; columns whose cells are all numbers are aligned to the right.

    Attributes:
        title: what the table shows.
        columns: heads.
        rows: each as long as ``columns``.
        note: one sentence below the table, such as what a column means.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def markdown(self) -> str:
        """With a heading line, for an MLflow note."""
        lines = [_row(self.columns), _row(["--:" if right else ":--" for right in self.right_aligned()])]
        lines += [_row(row) for row in self.rows]
        return "\n".join([f"**{self.title}**", "", *lines, *(["", self.note] if self.note else []), ""])

    def csv(self) -> str:
        """Heads and rows, nothing else."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows([self.columns, *self.rows])
        return text.getvalue()

    def right_aligned(self) -> tuple[bool, ...]:
        """For each column, whether all its cells are numbers or empty."""
        return tuple(all(_is_number(row[index]) for row in self.rows) for index in range(len(self.columns)))


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _is_number(cell: str) -> bool:
    try:
        float(cell or 0)
    except ValueError:
        return cell == NOTHING
    return True


def number(value: float | None, digits: int = 3) -> str:
    """Fixed digits; a dash where there is no value."""
    return NOTHING if value is None or value != value else f"{value:.{digits}f}"
