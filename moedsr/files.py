"""Files that are there whole or not at all, and the folder for what can be made again."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

from moedsr.errors import CannotWriteError


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A name in the same folder to write to; what was written is renamed to `path`, or gone if anything failed.

    Raises:
        CannotWriteError: a disk that is full, a folder that cannot be written to.
    """
    aside = path.with_name(f".{path.name}.{token_hex(4)}.tmp")
    try:
        try:
            yield aside
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from error


def make_folder(folder: Path) -> None:
    """The folder and those above it, where they are missing.

    Raises:
        CannotWriteError: a file in its place, or a folder above that cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error


def flush(path: Path) -> None:
    """What a machine that loses its power would otherwise lose: file or folder, from memory to disk."""
    with suppress(OSError):  # not there, or a file system that cannot do it for folders
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _unwritable(path: Path, error: OSError) -> CannotWriteError:
    return CannotWriteError(
        f"{path}: cannot be written ({error.strerror or error}); make room or choose another folder"
    )


def cache_folder() -> Path:
    """Where this user keeps what can be made again: ``$MOEDSR_CACHE``, else ``~/.cache/moedsr``."""
    return Path(os.environ.get("MOEDSR_CACHE") or Path.home() / ".cache" / "moedsr")
