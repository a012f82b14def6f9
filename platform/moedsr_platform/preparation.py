"""Surface stores on a Ray cluster: one task a protein."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from moedsr.config import DataConfig, PrepareConfig
from moedsr.data.ensemble import Ensemble, find_ensembles
from moedsr.data.prepare import default_store_path, finish_store, prepare_protein
from moedsr.data.store import SurfaceStore
from moedsr.errors import InputError, JobError

Echo = Callable[[str], None]


def ensure_store(data: DataConfig, echo: Echo) -> tuple[DataConfig, SurfaceStore]:
    """The store of a configuration, prepared first when it is missing. Ray must be connected by then.

    Returns:
        the same section with the store's place written out (workers run in other folders) and the settings that
        the store was really made with; and the store.

    Raises:
        InputError: no store and no source, or a store made with other settings than those asked for.
    """
    folder = store_path(data)
    if (folder / "manifest.json").exists():
        # a file that only names a store takes it as it is
        asked = data.source is not None or "prepare" in data.model_fields_set
        store = SurfaceStore.open(folder, data.prepare if asked else None)
        echo(f"surface store {folder}: {len(store.names())} proteins, prepared before")
    elif data.source is None:
        raise InputError(f"{folder}: no surface store; give `data.source` too, or run `moedsr data prepare`")
    else:
        store = prepare_store(data.source, data.prepare, folder, echo)
    return data.model_copy(update={"store": folder, "prepare": store.settings}), store


def store_path(data: DataConfig) -> Path:
    """Where the store of a configuration lies or will lie."""
    if data.store is not None:
        return data.store.absolute()
    assert data.source is not None  # the configuration holds one of both
    return default_store_path(data.source, data.prepare).absolute()


def prepare_store(source: str, settings: PrepareConfig, folder: Path, echo: Echo) -> SurfaceStore:
    """Prepares every protein of a source, in parallel; finished ones are kept, so it can be called again.

    Raises:
        InputError: what is wrong with the first bad ensemble.
        JobError: a task was lost.
    """
    import ray

    ensembles = find_ensembles(source)
    echo(f"preparing {len(ensembles)} proteins, {settings.frames} frames each, into {folder}")
    task = ray.remote(num_cpus=1, max_retries=2)(_prepare)
    pending = {task.remote(ensemble, settings, folder.absolute()): ensemble for ensemble in ensembles}
    entries: dict[str, Any] = {}
    try:
        while pending:
            (ready, *_), _ = ray.wait(list(pending), num_returns=1)
            ensemble = pending.pop(ready)
            entries[ensemble.name] = _result(ready, ensemble)
            echo(f"prepared {ensemble.name} ({len(entries)} of {len(ensembles)})")
    finally:
        for reference in pending:
            ray.cancel(reference, force=True)
    return finish_store(folder, settings, [entries[ensemble.name] for ensemble in ensembles])


def _prepare(ensemble: Ensemble, settings: PrepareConfig, folder: Path) -> Any:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    return prepare_protein(ensemble, settings, folder)


def _result(reference: Any, ensemble: Ensemble) -> Any:
    import ray

    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, InputError):
            raise InputError(str(cause)) from None
        raise JobError(f"preparing {ensemble.name} failed: {type(cause).__name__}: {cause}") from None
    except ray.exceptions.RayError as error:
        raise JobError(f"preparing {ensemble.name} was lost: {str(error).splitlines()[0]}") from None
