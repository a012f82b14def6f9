"""The local copy of a remote store: readers map files into memory, which no object store can."""

from hashlib import sha256
from pathlib import Path

from filelock import FileLock

from moedsr.errors import InputError
from moedsr.files import cache_folder
from moedsr.store.remote_folder import RemoteFolder
from moedsr.store.store_index import MANIFEST, TABLE, ProteinEntry, checksum, read_table


def local_copy(address: str | Path) -> Path:
    """The folder in this machine's cache that holds a remote store; fetched once, by one process.

    Raises:
        InputError: no finished store there, or a file that is not what its table says.
    """
    store = RemoteFolder(address)
    manifest = store.read(MANIFEST)
    if manifest is None:
        raise InputError(f"{store.address}: holds no {MANIFEST}, so no finished store lies there")
    folder = cache_folder() / "stores" / f"remote-{sha256(store.address.encode() + manifest).hexdigest()[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        store.download(TABLE, folder / TABLE)  # always: another split changes it, and nothing else
        if not (folder / MANIFEST).exists():
            for entry in read_table(folder):
                _fetch(store, entry, folder / f"{entry.name}.safetensors")
            (folder / f".{MANIFEST}").write_bytes(manifest)
            (folder / f".{MANIFEST}").replace(folder / MANIFEST)
    return folder


def _fetch(store: RemoteFolder, entry: ProteinEntry, target: Path) -> None:
    if target.exists() and checksum(target) == entry.checksum:
        return
    store.download(target.name, target)
    if checksum(target) != entry.checksum:
        target.unlink()
        raise InputError(f"{store.address}/{target.name}: was altered, its checksum differs from {TABLE}")
