"""`moedsr data split`: which proteins of a store are trained on, and which are kept for judging."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click
from pydantic import ValidationError

from moedsr.errors import InputError

if TYPE_CHECKING:
    from moedsr.store.similar_sequences import Likeness


@click.command()
@click.argument("store")
@click.option("--identity", type=float, default=0.4, show_default=True, help="Of aligned residues; from here on alike.")
@click.option("--coverage", type=float, default=0.8, show_default=True, help="Aligned part of both sequences.")
@click.option("--val", type=click.IntRange(min=0), help="Validation proteins. [default: 50 of 1,390, in proportion]")
@click.option("--test", type=click.IntRange(min=0), help="Test proteins. [default: as many]")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--from", "lists", type=click.Path(path_type=Path, dir_okay=False), help="Your own, as JSON: checked.")
@click.option("--threads", type=click.IntRange(min=1), help="Of the search. [default: all]")
def split(
    store: str,
    identity: float,
    coverage: float,
    val: int | None,
    test: int | None,
    seed: int,
    lists: Path | None,
    threads: int | None,
) -> None:
    """Part the proteins of STORE into train, val and test, no two across splits alike by sequence.

    Alike: found by MMseqs2 with at least 40 % identity over at least 80 % of both. Replaces the split that STORE
    has, and is kept when STORE is prepared again. Proteins that the paper names as test proteins become that.

    \b
    moedsr data split store
    moedsr data split store --from lists.json    {"train": ["1abc_A", …], "val": […], "test": […]}
    """
    likeness = _likeness(identity, coverage)
    from moedsr.store.remote_folder import is_remote
    from moedsr.store.remote_store import save_remote_split
    from moedsr.store.similar_sequences import require_mmseqs
    from moedsr.store.split import require_no_leakage, sizes, split_proteins
    from moedsr.store.store import SurfaceStore
    from moedsr.store.stored_split import save_split

    version = require_mmseqs()
    sequences = {name: entry.sequence for name, entry in SurfaceStore.open(store).entries.items()}
    threads = threads or len(os.sched_getaffinity(0))
    if lists is not None:
        chosen = _read(lists, list(sequences))
        require_no_leakage(chosen, sequences, likeness, threads)
    else:
        chosen = split_proteins(sequences, likeness, seed=seed, val=val, test=test, threads=threads)
    made = {"mmseqs": version, **likeness.model_dump(), "from": None if lists is None else str(lists)}
    try:
        if is_remote(store):
            save_remote_split(store, chosen, {**made, "seed": seed})
        else:
            save_split(Path(store), chosen, {**made, "seed": seed})
    except OSError as error:
        raise InputError(f"{store}: cannot be written: {error.strerror or error}") from error
    counts = ", ".join(f"{name} {count}" for name, count in sizes(chosen).items())
    click.echo(f"{store}: {counts}; no two across splits alike ({identity:.0%} over {coverage:.0%}, MMseqs2 {version})")


def _read(path: Path, names: list[str]) -> dict[str, str]:
    """A split of all proteins from a JSON file.

    Raises:
        InputError: not such a file, or a protein in none of the lists.
    """
    from moedsr.structures.ensemble import read_splits

    if not path.exists():
        raise InputError(f"{path}: no such file")
    found = dict(read_splits(path, names))
    if missing := [name for name in names if name not in found]:
        raise InputError(
            f"{path}: names {missing[0]} in no split, but must name all {len(names)} proteins of the store"
        )
    return found


def _likeness(identity: float, coverage: float) -> "Likeness":
    from moedsr.store.similar_sequences import Likeness

    try:
        return Likeness(identity=identity, coverage=coverage)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"--{first['loc'][0]} {first['input']}: {first['msg']}") from error
