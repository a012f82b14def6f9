"""One process at a time in a folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from moedsr.errors import JobError


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Holds a folder until the end, which a killed process reaches too.

    Raises:
        JobError: another process holds it.
    """
    held = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise JobError(f"{folder}: another process works there already; wait for it or stop it") from error
        yield
    finally:
        os.close(held)
