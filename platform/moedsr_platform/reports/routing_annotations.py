"""What others know of the proteins (ECOD, CATH, secondary structure, flexibility …), joined to a routing table."""

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from moedsr.config_file import did_you_mean
from moedsr.errors import InputError
from moedsr_platform.tracking.routing_report import Routing

ATLAS_COLUMNS = (
    "alpha%", "beta%", "coil%", "avg_RMSF", "avg_gyration",
    "ECOD_architecture", "CATH_class", "CATH_architecture", "SCOP_class",
)  # fmt: skip
"""Read by default where a table has them, without the length, which is known; other tables: every column."""

UNKNOWN = frozenset({"", "-", "n/a", "na", "nan", "none", "unknown"})
_MISSING = float("nan")


def annotate(routing: Routing, path: Path, columns: Sequence[str] = ()) -> Routing:
    """The routing with the table's numbers and classes; a protein of several domains has the first one's class.

    Args:
        routing: of proteins whose names stand in the table's first column.
        path: TSV or CSV with a head line.
        columns: those wanted; none: the known ones of ATLAS, else all.

    Raises:
        InputError: unreadable, an unknown column, or a table that knows none of the proteins.
    """
    heads, rows = _read(path)
    for column in columns:
        if column not in heads[1:]:
            raise InputError(f"{path}: has no column {column!r}{did_you_mean(column, heads[1:])}")
    wanted = list(columns) or [head for head in ATLAS_COLUMNS if head in heads] or heads[1:]
    known = [name for name in routing.names if name in rows]
    if not known:
        raise InputError(
            f"{path}: its first column {heads[0]!r} names none of the {len(routing.names)} proteins, "
            f"such as {', '.join(routing.names[:3])}; it begins with {', '.join(list(rows)[:3])}"
        )
    numbers, classes = dict(routing.numbers), dict(routing.classes)
    for column in wanted:
        texts = [_first(rows.get(name, {}).get(column, "")) for name in routing.names]
        values = [_number(text) for text in texts]
        if all(value is not None for value, text in zip(values, texts, strict=True) if text):
            numbers[column] = [_MISSING if value is None else value for value in values]
        else:
            classes[column] = texts
    return replace(routing, numbers=numbers, classes=classes)


def _read(path: Path) -> tuple[list[str], dict[str, dict[str, str]]]:
    """Heads, and the rows by the text of their first column."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            head = file.readline()
            file.seek(0)
            table = csv.DictReader(file, delimiter="\t" if "\t" in head else ",")
            heads = list(table.fieldnames or [])
            rows = {(row[heads[0]] or "").strip(): row for row in table} if heads else {}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as a table ({error})") from error
    if len(heads) < 2 or not rows:
        raise InputError(f"{path}: is no table: it needs a head line, a column of ids and at least one more")
    return heads, rows


def _first(text: str | None) -> str:
    """Of several values, one a domain, the first; "" for an unknown one."""
    value = (text or "").strip().split('", "')[0].strip('" ')
    return "" if value.lower() in UNKNOWN else value


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
