"""The split of a surface store: a column of its table, and ``split.json``, which says how it was made."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from moedsr.store.store_index import TABLE, ProteinEntry
from moedsr.structures.ensemble import SPLITS

SPLIT = "split.json"
_MADE = "made"


def save_split(store: Path, split: Mapping[str, str], made: Mapping[str, Any]) -> None:
    """Puts a split into a finished store, where it stays when the store is prepared again.

    Args:
        store: folder of the store.
        split: of every protein.
        made: how: thresholds, seed, versions.
    """
    lists = {name: sorted(protein for protein, held in split.items() if held == name) for name in SPLITS}
    _replace(store / SPLIT, lambda aside: aside.write_text(json.dumps({_MADE: dict(made), **lists}, indent=1) + "\n"))
    table = pq.read_table(store / TABLE)
    column = pa.array([split[name] for name in table["name"].to_pylist()], pa.string())
    table = table.set_column(table.schema.get_field_index("split"), "split", column)
    _replace(store / TABLE, lambda aside: pq.write_table(table, aside))


def saved_split(store: Path) -> Mapping[str, str]:
    """Name to split as saved in a store; empty where none is."""
    file = store / SPLIT
    if not file.exists():
        return {}
    lists = json.loads(file.read_text(encoding="utf-8"))
    return {name: split for split in SPLITS for name in lists[split]}


def with_saved_split(store: Path, entries: Iterable[ProteinEntry]) -> list[ProteinEntry]:
    """Rows of the store's table, those in its saved split put there."""
    saved = saved_split(store)
    return [replace(entry, split=saved.get(entry.name, entry.split)) for entry in entries]


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    aside = path.with_name(f".{path.name}.{token_hex(4)}.tmp")
    write(aside)
    aside.replace(path)
