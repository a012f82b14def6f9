"""One process at a time runs a sweep: a lock that dies with its process."""

import contextlib
import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from moedsr.errors import InputError


@contextlib.contextmanager
def only_here(path: Path, name: str, job: str | None = None) -> Iterator[None]:
    """Within, no other process runs the sweep, on this machine or on another that shares the folder.

    The operating system gives the lock back when its process ends, however it ends. Between machines that holds on
    NFS (version 4, or 3 with its lock service) and on parallel file systems that are mounted with locks; one without
    locks is refused, since two processes would write into the same trials.

    Args:
        path: the lock file, in the sweep's folder.
        name: of the sweep, for messages.
        job: the Ray job that this process belongs to.

    Raises:
        InputError: another process has the sweep, and which; or the file system knows no locks.
    """
    with path.open("a+", encoding="utf-8") as file:
        try:
            _lock(file)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise InputError(
                    f"{path}: cannot be locked ({error.strerror}): mount the file system with locks (NFS: version 4, "
                    "or without nolock; Lustre: with flock), or choose another folder with --results"
                ) from None
            file.seek(0)
            raise InputError(
                f"sweep `{name}` is being run by {_owner(file.read())}: wait for its end or stop it"
            ) from None
        file.truncate(0)
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        json.dump({"pid": os.getpid(), "host": socket.gethostname(), "job": job, "since": since}, file)
        file.flush()
        yield


def _lock(file: IO[str], attempts: int = 5) -> None:
    """Who only looks whether the lock is held, holds it for a moment."""
    for left in range(attempts, 0, -1):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError:
            if left == 1:
                raise
        time.sleep(0.05)


def is_held(path: Path) -> bool:
    """Whether a process runs the sweep with this lock file."""
    with path.open(encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        return False


def _owner(text: str) -> str:
    try:
        found = json.loads(text)
        job = f", Ray job {found['job']}" if found["job"] else ""
        return f"process {found['pid']} on {found['host']}{job} since {found['since']}"
    except (ValueError, KeyError, TypeError):
        return "another process"
