"""The surface store that a model is scored on, and the proteins in it."""

from collections.abc import Sequence
from pathlib import Path

from moedsr.config_file import did_you_mean
from moedsr.errors import InputError
from moedsr.store.prepare import default_store_path
from moedsr.store.store import SurfaceStore
from moedsr.training.checkpoint import load_config, load_meta


def open_store(checkpoint: Path | None, store: Path | None) -> SurfaceStore:
    """The given store, else the one that the checkpoint was trained on; one of the two must be given.

    Raises:
        InputError: neither is on this machine, or it is damaged.
    """
    if store is not None:
        return SurfaceStore.open(store)
    assert checkpoint is not None
    data = load_config(checkpoint).data
    found = data.store
    if found is None and data.source is not None:
        found = default_store_path(data.source, data.prepare)
    if found is None or not found.is_dir():
        raise InputError(
            f"the store that the model was trained on ({found}) is not on this machine: "
            "name one with --store, or make it with `moedsr data prepare`"
        )
    opened = SurfaceStore.open(found)
    trained_on = load_meta(checkpoint).store_fingerprint
    if trained_on != opened.fingerprint:
        raise InputError(
            f"store {found} has changed since the model was trained (fingerprint {opened.fingerprint}, "
            f"the model has {trained_on}): name the store with --store to score on it all the same"
        )
    return opened


def names_of(store: SurfaceStore, split: str | None, proteins: Sequence[str]) -> list[str]:
    """The proteins to score: those named, else those of a split, None for all.

    Raises:
        InputError: a name that the store lacks, or an empty split.
    """
    everything = store.names()
    for name in proteins:
        if name not in everything:
            raise InputError(
                f"no protein {name!r} in {store.path}{did_you_mean(name, everything)}; "
                f"there are: {', '.join(everything[:20])}"
            )
    names = list(proteins) or store.names(split)
    if not names:
        raise InputError(f"store {store.path} has no protein in split {split!r}")
    return names
