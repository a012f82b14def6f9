"""Requests to the tracking store, on disk until they are sent: they outlive the process that made them."""

import errno
import fcntl
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from moedsr.errors import InputError

LOCK_SECONDS = 20.0
"""Patience with a process that sends what a killed driver left."""

Request = Mapping[str, Any]
"""``kind`` says what is asked, ``run`` of which run; the rest belongs to the kind. Holds what JSON can hold."""


class Journal:
    """An append-only file of requests, one line each, and how far it has been sent.

    A process that is killed loses nothing that was appended; a machine that loses its power may lose the last
    seconds. One process at a time.

    requests.jsonl   what was asked, in order; emptied when all of it is sent
    sent             how many bytes of it are sent

    Raises:
        InputError: another process has the journal open.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._sent_file = folder / "sent"
        self._file = (folder / "requests.jsonl").open("a+b", buffering=0)
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except OSError:
                if time.monotonic() > deadline:
                    self._file.close()
                    raise InputError(f"{folder}: another process is using it; wait for its end") from None
            time.sleep(0.1)

    def unsent(self) -> list[tuple[Request, int]]:
        """What an earlier process left, in order, each with the position behind it."""
        self._file.seek(0)
        lines = self._file.read().splitlines(keepends=True)
        if lines and not lines[-1].endswith(b"\n"):  # its writer was killed halfway
            self._file.truncate(sum(map(len, lines[:-1])))
            lines.pop()
        sent, position, found = self._sent(), 0, []
        for line in lines:
            position += len(line)
            if position > sent:
                found.append((json.loads(line), position))
        return found

    def append(self, request: Request) -> int:
        """Write a request; returns the position behind it.

        Raises:
            OSError: the disk is full; then nothing of the request is left there.
        """
        line = json.dumps(request, ensure_ascii=False).encode() + b"\n"
        start = self._file.seek(0, os.SEEK_END)
        if self._file.write(line) != len(line):
            self._file.truncate(start)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return start + len(line)

    def sent(self, position: int) -> None:
        """All before this position has been sent."""
        if position >= self._file.seek(0, os.SEEK_END):
            self._sent_file.unlink(missing_ok=True)  # first: sent again is harmless, left out is not
            self._file.truncate(0)
            return
        temporary = self._sent_file.with_suffix(".tmp")
        temporary.write_text(str(position), encoding="ascii")
        temporary.replace(self._sent_file)

    def close(self) -> None:
        """Let other processes have it."""
        self._file.close()

    def _sent(self) -> int:
        try:
            return int(self._sent_file.read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):
            return 0


def is_waiting(folder: Path) -> bool:
    """Whether requests lie there that were not sent."""
    file = folder / "requests.jsonl"
    return file.is_file() and file.stat().st_size > 0
