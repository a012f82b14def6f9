"""Requests to the tracking store, on disk until they are sent: they outlive the process that made them."""

import errno
import fcntl
import json
import logging
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from moedsr.errors import InputError
from moedsr.files import flush

log = logging.getLogger(__name__)

LOCK_SECONDS = 20.0
"""Patience with a process that sends what a killed driver left."""

Request = Mapping[str, Any]
"""``kind`` says what is asked, ``run`` of which run; the rest belongs to the kind. Holds what JSON can hold."""

REQUESTS, SENT = "requests.jsonl", "sent_up_to"


class Journal:
    """An append-only file of numbered requests, one line each, and the number up to which they are sent.

    requests.jsonl   what was asked, in order: number, blank, request; emptied when all of it is sent
    sent_up_to       the number of the last one that is sent

    A process that is killed loses nothing that was appended; a machine that loses its power may lose what came after
    the last ``flush``, and one of the files may then be older than the other. Whatever is left of the requests is sent:
    numbers only grow, so that what was noted as sent never speaks of a later request, and a note that is too old costs
    no more than that requests are sent again. One process at a time.

    Raises:
        InputError: another process has the journal open.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._sent_file = folder / SENT
        self._file = (folder / REQUESTS).open("a+b", buffering=0)
        self._wait_for_others(folder)
        self._left = list(_unsent(folder))
        self._mend()
        self._last = max([_sent(folder), *(number for _, number in self._left)])

    def unsent(self) -> list[tuple[Request, int]]:
        """What an earlier process left, in order, each with its number."""
        return self._left

    def append(self, request: Request) -> int:
        """Write a request; returns its number.

        Raises:
            OSError: the disk is full; then nothing of the request is left there.
        """
        number = self._last + 1
        line = b"%d %s\n" % (number, json.dumps(request, ensure_ascii=False).encode())
        start = self._file.seek(0, os.SEEK_END)
        if self._file.write(line) != len(line):
            self._file.truncate(start)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._last = number
        return number

    def flush(self) -> None:
        """What was appended outlives a loss of power from now on."""
        flush(Path(self._file.name))

    def sent(self, number: int) -> None:
        """All up to this number have been sent."""
        temporary = self._sent_file.with_suffix(".tmp")
        temporary.write_text(f"{number}\n", encoding="ascii")
        temporary.replace(self._sent_file)
        if number >= self._last:
            self._file.truncate(0)

    def close(self) -> None:
        """Let other processes have it."""
        self._file.close()

    def _wait_for_others(self, folder: Path) -> None:
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

    def _mend(self) -> None:
        """The next line must begin where one ended: a writer may have been killed halfway."""
        self._file.seek(0)
        whole = self._file.read()
        self._file.truncate(whole.rfind(b"\n") + 1 if self._left else 0)


def is_waiting(folder: Path) -> bool:
    """Whether requests lie there that were not sent."""
    return next(_unsent(folder), None) is not None


def _unsent(folder: Path) -> Iterator[tuple[Request, int]]:
    try:
        lines = (folder / REQUESTS).read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return
    sent = _sent(folder)
    for line in lines:
        head, _, rest = line.partition(b" ")
        try:
            number, request = int(head), json.loads(rest)
        except ValueError:  # blocks of a file that never reached the disk are read as zeros after a loss of power
            log.warning("tracking: a damaged line of %s is left out", folder / REQUESTS)
            continue
        if number > sent:
            yield request, number


def _sent(folder: Path) -> int:
    """0 when it is not known: sent again is harmless, left out is not."""
    try:
        text = (folder / SENT).read_text(encoding="ascii")
        return int(text) if text.endswith("\n") else 0
    except (FileNotFoundError, ValueError):
        return 0
