"""Surface stores on a Ray cluster: which store a configuration means, and how it is made."""

from collections.abc import Callable, Mapping
from pathlib import Path

from moedsr.config import DataConfig, PrepareConfig
from moedsr.errors import InputError, JobError
from moedsr.store.prepare import default_store_path, finish_store, start_store
from moedsr.store.remote_folder import RemoteFolder, is_remote
from moedsr.store.remote_store import RemoteEnsemble, find_remote_ensembles, finish_remote_store
from moedsr.store.store import SurfaceStore
from moedsr.store.store_index import MANIFEST, ProteinEntry
from moedsr.structures.ensemble import Ensemble, check_source, find_ensembles
from moedsr_platform.cluster.preparation_tasks import ProcessesLost, outcomes
from moedsr_platform.interruption import watch_signals
from moedsr_platform.tracking.store import in_uploaded_folder, results_folder

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
    if is_remote(folder):
        store = SurfaceStore.open(folder, data.prepare if "prepare" in data.model_fields_set else None)
        echo(f"surface store {RemoteFolder(folder).address}: {len(store.names())} proteins, copied to {store.path}")
    elif (folder / MANIFEST).exists():
        # a file that only names a store takes it as it is
        asked = data.source is not None or "prepare" in data.model_fields_set
        store = SurfaceStore.open(folder, data.prepare if asked else None)
        echo(f"surface store {folder}: {len(store.names())} proteins, prepared before")
    elif data.source is None:
        raise _no_store(folder)
    else:
        store = prepare_store(data.source, data.prepare, folder, echo, for_sweep=True)
    return data.model_copy(update={"store": folder, "prepare": store.settings}), store


def check_data(data: DataConfig) -> None:
    """Whether there is a store, or a source to make it from; nothing is read of either.

    Raises:
        InputError: there is neither.
    """
    folder = store_path(data)
    if is_remote(folder) or (folder / MANIFEST).exists():
        return
    if data.source is None:
        raise _no_store(folder)
    if not is_remote(data.source):
        check_source(data.source)


def _no_store(folder: Path | str) -> InputError:
    return InputError(f"{folder}: no surface store; give `data.source` too, or run `moedsr data prepare`")


def store_path(data: DataConfig) -> Path:
    """Where the store of a configuration lies or will lie.

    A relative place that did not come with a job's upload is below the results: the upload itself does not last.
    """
    if data.store is not None:
        if is_remote(data.store):
            return data.store  # every node copies it by itself
        lost = in_uploaded_folder() and not data.store.exists()
        return results_folder() / data.store if lost else data.store.absolute()
    assert data.source is not None  # the configuration holds one of both
    return default_store_path(data.source, data.prepare).absolute()


def prepare_store(
    source: str, settings: PrepareConfig, folder: Path, echo: Echo, *, for_sweep: bool = False
) -> SurfaceStore:
    """Prepares every protein of a source, in parallel; finished ones are kept, so it can be called again.

    A protein that cannot be prepared is set aside: it is named at the end and in the manifest, and tried again by the
    next call.

    Args:
        source: as find_ensembles, or the URL of a remote folder.
        settings: of the store.
        folder: of this machine or of a mounted file system.
        echo: told what happens, in lines.
        for_sweep: whether a sweep begins on the store at once and takes it as it is ever after: what was killed is no
            reason then to go without a protein.

    Raises:
        InputError: no protein could be prepared, a store of other settings lies there, or it cannot be written.
        JobError: Ray is gone, or processes that the store needed.
    """
    started = start_store(folder, settings)
    entries, set_aside = _prepare_all(source, settings, str(folder.absolute()), echo)
    lost = [name for name, reason in set_aside.items() if isinstance(reason, ProcessesLost)]
    if lost and for_sweep:
        raise JobError(
            f"{len(lost)} of {len(entries) + len(set_aside)} proteins are not prepared; {lost[0]}: "
            f"{set_aside[lost[0]]}; the same command tries again, `moedsr data prepare` makes a store without them"
        )
    store = finish_store(folder, settings, entries, set_aside, started=started)
    _say_set_aside(set_aside, echo)
    return store


def prepare_remote_store(source: str, settings: PrepareConfig, address: str, echo: Echo) -> tuple[int, str]:
    """The same into a remote folder; returns how many proteins it has and the fingerprint."""
    entries, set_aside = _prepare_all(source, settings, address, echo)
    fingerprint = finish_remote_store(address, settings, entries, set_aside)
    _say_set_aside(set_aside, echo)
    return len(entries), fingerprint


def _prepare_all(
    source: str, settings: PrepareConfig, target: str, echo: Echo
) -> tuple[list[ProteinEntry], dict[str, str]]:
    set_aside: dict[str, str] = {}
    ensembles: list[Ensemble | RemoteEnsemble] = []
    ensembles += find_remote_ensembles(source) if is_remote(source) else find_ensembles(source, set_aside)
    total = len(ensembles) + len(set_aside)
    entries: list[ProteinEntry] = []

    def last_words() -> str:
        return f"interrupted with {len(entries)} of {total} proteins prepared; the same command goes on from there"

    with watch_signals(last_words):
        echo(f"preparing {total} proteins, {settings.frames} frames each, into {target}")
        for name, outcome in outcomes(ensembles, settings, target, echo):
            if isinstance(outcome, ProteinEntry):
                entries.append(outcome)
                echo(f"prepared {name} ({len(entries)} of {total})")
            else:
                set_aside[name] = outcome
                echo(f"set aside {name}: {outcome}")
    if not entries:
        name, reason = next(iter(set_aside.items()))
        raise (JobError if isinstance(reason, ProcessesLost) else InputError)(
            f"{source}: none of {total} proteins could be prepared; {name}: {reason}"
        )
    return entries, set_aside


def _say_set_aside(set_aside: Mapping[str, str], echo: Echo) -> None:
    if set_aside:
        echo(f"set aside (see {MANIFEST}), {len(set_aside)} proteins; the same command tries them again:")
        for name, reason in sorted(set_aside.items()):
            echo(f"  {name}: {reason}")
