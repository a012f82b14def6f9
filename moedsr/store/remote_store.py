"""Preparation from and into remote folders.

Beside each protein's file lies ``{name}.json``: the row of the table and what it was made from. So a second call knows
what is finished without fetching anything.
"""

import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from moedsr.config import PrepareConfig
from moedsr.errors import InputError
from moedsr.store.prepare import prepare_protein
from moedsr.store.remote_folder import RemoteFile, RemoteFolder, is_remote
from moedsr.store.store_index import (
    FORMAT_VERSION,
    MANIFEST,
    TABLE,
    ProteinEntry,
    read_manifest,
    read_settings,
    require_same_settings,
    write_index,
)
from moedsr.store.stored_split import SPLIT, save_split, with_saved_split
from moedsr.structures.ensemble import Ensemble, find_ensembles, read_splits

_SPLITS = "splits.json"


@dataclass(frozen=True)
class RemoteEnsemble:
    """One protein's files in a remote folder; tasks fetch them."""

    name: str
    address: str  # of the source
    files: tuple[RemoteFile, ...]
    split: str | None = None

    @property
    def size(self) -> int:
        """Bytes of the smallest file: the structure."""
        return min(file.size for file in self.files)


def find_remote_ensembles(source: str) -> list[RemoteEnsemble]:
    """All entries ``{id}/…`` of a remote folder, by name; splits from ``splits.json`` beside them.

    Raises:
        InputError: unreachable, or no entry.
    """
    folder = RemoteFolder(source)
    entries: dict[str, list[RemoteFile]] = {}
    for file in folder.list():
        name, *rest = file.name.split("/")
        if ".." in rest:
            raise InputError(f"{source}: holds `{file.name}`, which leads out of the folder")
        if rest:
            entries.setdefault(name, []).append(file)
    if not entries:
        raise InputError(f"{source}: holds no entry; expected {{id}}/{{id}}.pdb with {{id}}_R1.xtc beside it")
    splits: Mapping[str, str] = {}
    if (content := folder.read(_SPLITS)) is not None:
        with tempfile.TemporaryDirectory() as scratch:
            (Path(scratch) / _SPLITS).write_bytes(content)
            splits = read_splits(Path(scratch) / _SPLITS, list(entries))
    return [RemoteEnsemble(name, source, tuple(files), splits.get(name)) for name, files in entries.items()]


def start_remote_store(target: str, settings: PrepareConfig) -> None:
    """Raises InputError where the folder cannot be reached, or where a finished store of other settings lies there."""
    if (content := RemoteFolder(target).read(MANIFEST)) is None:
        return
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / MANIFEST).write_bytes(content)
        try:
            held = read_settings(Path(scratch), read_manifest(Path(scratch)))
        except InputError as error:
            raise InputError(str(error).replace(scratch, target)) from None
    require_same_settings(target, held, settings)


def save_remote_split(target: str, split: Mapping[str, str], made: Mapping[str, Any]) -> None:
    """As save_split, for a store in a remote folder."""
    store = RemoteFolder(target)
    with tempfile.TemporaryDirectory() as scratch:
        store.download(TABLE, Path(scratch) / TABLE)
        save_split(Path(scratch), split, made)
        for name in (SPLIT, TABLE):
            store.upload(Path(scratch) / name, name)


def prepare_anywhere(ensemble: Ensemble | RemoteEnsemble, settings: PrepareConfig, target: str) -> ProteinEntry:
    """prepare_protein with either side remote: through a scratch folder of this machine.

    Raises:
        InputError: as prepare_protein.
    """
    if isinstance(ensemble, Ensemble) and not is_remote(target):
        return prepare_protein(ensemble, settings, Path(target))
    with tempfile.TemporaryDirectory(prefix="moedsr-") as scratch:
        if not is_remote(target):
            return prepare_protein(_local(ensemble, Path(scratch)), settings, Path(target))
        store = RemoteFolder(target)
        made_from = _made_from(ensemble, settings)
        record = json.loads(store.read(f"{ensemble.name}.json") or b"{}")
        if record.get("made_from") == made_from:
            return ProteinEntry(**{**record["entry"], "centre": tuple(record["entry"]["centre"])})
        entry = prepare_protein(_local(ensemble, Path(scratch)), settings, Path(scratch) / "store")
        store.upload(Path(scratch) / "store" / f"{entry.name}.safetensors", f"{entry.name}.safetensors")
        note = Path(scratch) / "note.json"
        note.write_text(json.dumps({"made_from": made_from, "entry": asdict(entry)}), encoding="utf-8")
        store.upload(note, f"{entry.name}.json")  # last: it says that the protein is finished
        return entry


def finish_remote_store(
    target: str, settings: PrepareConfig, entries: Iterable[ProteinEntry], set_aside: Mapping[str, str]
) -> str:
    """Writes table and manifest, with the split that was saved before; returns the fingerprint."""
    store = RemoteFolder(target)
    with tempfile.TemporaryDirectory(prefix="moedsr-") as scratch:
        if (saved := store.read(SPLIT)) is not None:
            (Path(scratch) / SPLIT).write_bytes(saved)
        write_index(Path(scratch), settings, with_saved_split(Path(scratch), entries), set_aside)
        for name in (TABLE, MANIFEST):
            store.upload(Path(scratch) / name, name)
        return str(json.loads((Path(scratch) / MANIFEST).read_bytes())["fingerprint"])


def _made_from(ensemble: Ensemble | RemoteEnsemble, settings: PrepareConfig) -> dict[str, Any]:
    files = ensemble.digest() if isinstance(ensemble, Ensemble) else [list(file) for file in ensemble.files]
    return {"format_version": FORMAT_VERSION, "settings": settings.model_dump(mode="json"), "files": files}


def _local(ensemble: Ensemble | RemoteEnsemble, scratch: Path) -> Ensemble:
    if isinstance(ensemble, Ensemble):
        return ensemble
    source = RemoteFolder(ensemble.address)
    try:
        for file in ensemble.files:
            source.download(file.name, scratch / "source" / file.name)
        (found,) = find_ensembles(scratch / "source" / ensemble.name)
    except InputError as error:
        raise InputError(str(error).replace(str(scratch / "source"), ensemble.address)) from None
    shutil.rmtree(scratch / "store", ignore_errors=True)
    return Ensemble(found.name, found.topology, found.trajectories, ensemble.split)
