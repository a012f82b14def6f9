"""The surface store: prepared proteins on disk, memory-mapped, one frame in O(1).

manifest.json      format version, preparation settings, fingerprint
proteins.parquet   one row a protein: sizes, scale, split, checksum
<name>.safetensors P0, frames, occupancy of one protein (moedsr.store.protein_file)
"""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from moedsr.config import PrepareConfig
from moedsr.config_file import did_you_mean
from moedsr.errors import InputError
from moedsr.store.conformation import SurfaceFrame
from moedsr.store.protein_file import StoredProtein
from moedsr.store.remote_folder import is_remote
from moedsr.store.store_copy import local_copy
from moedsr.store.store_index import (
    MANIFEST,
    TABLE,
    ProteinEntry,
    check_size,
    checksum,
    fingerprint,
    protein_path,
    read_manifest,
    read_settings,
    read_table,
    require_same_settings,
)
from moedsr.structures.ensemble import SPLITS

__all__ = ["ProteinEntry", "StoredProtein", "SurfaceFrame", "SurfaceStore", "check_store"]


class SurfaceStore:
    """A prepared store, open for reading. May be pickled to worker processes."""

    def __init__(
        self, path: Path, settings: PrepareConfig, fingerprint: str, entries: Mapping[str, ProteinEntry]
    ) -> None:
        self.path = path
        self.settings = settings
        self.fingerprint = fingerprint
        self.entries = entries

    @classmethod
    def open(cls, path: str | Path, settings: PrepareConfig | None = None) -> Self:
        """The store in a folder; sizes of all its files are checked, their content is not (see check_store).

        Args:
            path: the store's folder, or the URL of one, which is copied to this machine first.
            settings: when given, the store must have been prepared with these.

        Raises:
            InputError: no store, an unfinished one, another format version, other settings, a file that is
                missing, truncated or altered.
        """
        path = local_copy(path) if is_remote(path) else Path(path)
        manifest = read_manifest(path)
        held = read_settings(path, manifest)
        if settings is not None:
            require_same_settings(path, held, settings)
        entries = read_table(path)
        store = cls(path, held, str(manifest.get("fingerprint")), {entry.name: entry for entry in entries})
        if fingerprint(held, entries) != store.fingerprint:
            raise InputError(f"{path / TABLE}: does not belong to its {MANIFEST}; prepare the store again")
        for entry in entries:
            check_size(path, entry)
        return store

    def names(self, split: str | None = None) -> list[str]:
        """Names of all proteins, or of one split, sorted.

        Raises:
            InputError: an unknown split.
        """
        if split is not None and split not in SPLITS:
            raise InputError(f"unknown split `{split}`{did_you_mean(split, SPLITS)}; allowed: {', '.join(SPLITS)}")
        return sorted(name for name, entry in self.entries.items() if split in (None, entry.split))

    def protein(self, name: str) -> StoredProtein:
        """One protein.

        Raises:
            InputError: not in this store.
        """
        if name not in self.entries:
            raise InputError(
                f"{self.path}: has no protein `{name}`{did_you_mean(name, self.entries)}; "
                f"{len(self.entries)} proteins, {self._first_names} …"
            )
        if name not in self._opened:
            entry = self.entries[name]
            self._opened[name] = StoredProtein(protein_path(self.path, name), name, entry.split)
        return self._opened[name]

    @cached_property
    def _opened(self) -> dict[str, StoredProtein]:
        return {}

    @property
    def _first_names(self) -> str:
        return ", ".join(self.names()[:5])

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_opened"}


def check_store(path: str | Path) -> SurfaceStore:
    """Opens a store and verifies the checksum and every tensor of every protein.

    Raises:
        InputError: as SurfaceStore.open; a checksum that differs; a tensor of wrong shape or content.
    """
    store = SurfaceStore.open(path)
    for entry in store.entries.values():
        file = protein_path(store.path, entry.name)
        if checksum(file) != entry.checksum:
            raise InputError(f"{file}: was altered, its checksum differs from {TABLE}; prepare this protein again")
        store.protein(entry.name).verify(store.settings)
    return store
