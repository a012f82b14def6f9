"""One file over HTTP: resumed where it was cut, tried again where that can help, of the size that was promised."""

import email.utils
import logging
import random
import re
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import requests
import urllib3

from moedsr.errors import JobError

logger = logging.getLogger(__name__)

Received = Callable[[int, int | None, bool], None]
"""Told the bytes that are here, all that there are where known, and whether an earlier attempt had them."""

_CHUNK = 1 << 18
_TIMEOUT = (15.0, 60.0)  # seconds to connect, and between two pieces
_LONGEST_WAIT = 600.0  # seconds, also where a server asks for more
_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})
_SPARE = 64 << 20  # bytes that a disk keeps free


class DownloadError(Exception):
    """A file that cannot be had."""


class UnreachableError(DownloadError):
    """The server itself did not answer."""


class StoppedError(Exception):
    """Another part of the program asked to stop."""


class _LaterError(Exception):
    """Worth another attempt; ``wait`` in seconds where the server named one."""

    def __init__(self, reason: str, wait: float | None = None, *, answered: bool = True) -> None:
        super().__init__(reason)
        self.wait = wait
        self.answered = answered


class _AbsentError(Exception):
    """Not at this address."""


class Downloader:
    """Downloads with one connection; each thread has its own."""

    def __init__(self, *, retries: int, stop: threading.Event, first_wait: float = 1.0) -> None:
        """
        Args:
            retries: attempts in a row, after the first, that may bring nothing new.
            stop: set from elsewhere to end at the next piece.
            first_wait: seconds before the first retry; doubled each time, give or take a half.
        """
        self._retries = retries
        self._stop = stop
        self._first_wait = first_wait
        self._session = requests.Session()

    def download(self, addresses: Sequence[str], part: Path, received: Received) -> None:
        """Brings a file whole; what is there of it is gone on with.

        Args:
            addresses: of the same file, tried in turn where one does not have it.
            part: the file.
            received: told of every piece.

        Raises:
            DownloadError: at none of the addresses, or not within the retries.
            StoppedError: asked to stop; what is here stays.
            JobError: too little space.
            OSError: the file cannot be written.
        """
        absent: list[str] = []
        for address in addresses:
            try:
                self._persist(address, part, received)
            except _AbsentError as error:
                absent.append(str(error))
            else:
                _validator_file(part).unlink(missing_ok=True)
                return
        raise DownloadError("; ".join(absent))

    def _persist(self, address: str, part: Path, received: Received) -> None:
        furthest, fruitless = _size(part), 0
        while True:
            try:
                return self._transfer(address, part, received)
            except (_LaterError, requests.RequestException, urllib3.exceptions.HTTPError) as error:
                reason, wait, answered = _explain(error)
            fruitless = 0 if _size(part) > furthest else fruitless + 1
            furthest = max(furthest, _size(part))
            if fruitless > self._retries:
                kind = DownloadError if answered else UnreachableError
                raise kind(f"{reason} ({fruitless} attempts without progress)")
            wait = self._first_wait * 2**fruitless * random.uniform(0.5, 1.5) if wait is None else wait
            logger.info("%s: %s; again in %.1f s", address, reason, wait)
            if self._stop.wait(min(wait, _LONGEST_WAIT)):
                raise StoppedError

    def _transfer(self, address: str, part: Path, received: Received) -> None:
        held = _size(part)
        with self._session.get(address, headers=_headers(part, held), stream=True, timeout=_TIMEOUT) as response:
            start, total = _span(response, part, held)
            if start == total:
                received(start, total, True)
                return
            _require_space(part, (total or 0) - start)
            _remember_validator(response, part)
            received(start, total, True)
            with part.open("r+b" if start else "wb") as file:
                file.seek(start)
                while chunk := response.raw.read1(_CHUNK):  # what has come so far: nothing is lost with a cut
                    file.write(chunk)
                    received(file.tell(), total, False)
                    if self._stop.is_set():
                        raise StoppedError
        if total is not None and _size(part) != total:
            raise _LaterError(f"cut off after {_size(part)} of {total} bytes")


def _headers(part: Path, held: int) -> dict[str, str]:
    headers = {"Accept-Encoding": "identity"}
    if held:
        headers["Range"] = f"bytes={held}-"
        if (validator := _validator_file(part)).exists():  # a file that changed meanwhile comes whole
            headers["If-Range"] = validator.read_text(encoding="latin-1")
    return headers


def _span(response: requests.Response, part: Path, held: int) -> tuple[int, int | None]:
    """Where the answer's first byte belongs, and the size of the whole file where it is told."""
    code = response.status_code
    if code == 200:
        length = response.headers.get("Content-Length", "")
        return 0, int(length) if length.isdecimal() else None
    if code in (206, 416):
        told = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", response.headers.get("Content-Range", "").strip())
        total = int(told[2]) if told and told[2] != "*" else None
        if code == 416 and total == held:
            return held, held
        if code == 206 and told and told[1] and int(told[1]) == held:
            return held, total
        discard(part)  # what is here is not the beginning of what is there
        raise _LaterError(f"HTTP {code} for a range that was not asked for")
    reason = f"HTTP {code} {response.reason}"
    if code in _LATER:
        raise _LaterError(reason, _retry_after(response.headers.get("Retry-After")))
    raise _AbsentError(reason)


def _retry_after(value: str | None) -> float | None:
    """Seconds, from seconds or a date."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _explain(error: Exception) -> tuple[str, float | None, bool]:
    """What happened in a few words, the wait that was asked for, and whether a server answered at all."""
    if isinstance(error, _LaterError):
        return str(error), error.wait, error.answered
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
        return "no answer in time", None, False
    if isinstance(error, requests.ConnectionError):
        return "no connection", None, False
    if isinstance(error, urllib3.exceptions.ProtocolError):
        return "the connection was cut", None, True
    return " ".join(str(error).split())[:200], None, True


def _remember_validator(response: requests.Response, part: Path) -> None:
    tag = response.headers.get("ETag", "")
    validator = tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")
    if validator:
        _validator_file(part).write_text(validator, encoding="latin-1")
    else:
        _validator_file(part).unlink(missing_ok=True)


def discard(part: Path) -> None:
    """Removes what is here of a file."""
    for path in (part, _validator_file(part)):
        path.unlink(missing_ok=True)


def _validator_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.validator")


def _require_space(part: Path, size: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if size + _SPARE > free:
        raise JobError(
            f"{part.parent.parent}: {_amount(free)} are free, too little for the {_amount(size)} of "
            f"{part.stem}; free some space, then the same command goes on"
        )


def _amount(size: int) -> str:
    return f"{size / 1e6:.0f} MB" if size < 1e9 else f"{size / 1e9:.1f} GB"


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0
