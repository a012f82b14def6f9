"""Digests of input files: all of their content, read again only when a file has changed."""

import json
import logging
import os
import time
from hashlib import file_digest, sha256
from pathlib import Path
from secrets import token_hex

from moedsr.files import cache_folder

logger = logging.getLogger(__name__)

_SETTLED = 2_000_000_000  # ns; a file changed within one tick of its clock would keep its times


def content_digest(path: Path) -> str:
    """SHA-256 of a file, kept in the user's cache beside what the file system says of it.

    Device, inode, size and both times must be the same for a kept digest to hold. Programs can set the time of
    modification back; that of the change (ctime) they cannot. A file touched in the last 2 s is always read.
    """
    path = path.absolute()
    kept = cache_folder() / "digests" / f"{sha256(os.fsencode(path)).hexdigest()[:32]}.json"
    identity = _identity(path)
    try:
        record = json.loads(kept.read_text(encoding="utf-8"))
        if record["identity"] == identity:
            return str(record["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not kept, or not by us
    with path.open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    if _identity(path) == identity and time.time_ns() - max(identity[3:]) > _SETTLED:
        _keep(kept, {"identity": identity, "sha256": digest})
    return digest


def _identity(path: Path) -> list[int]:
    state = path.stat()
    return [state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns]


def _keep(path: Path, record: dict[str, object]) -> None:
    aside = path.with_name(f".{path.name}.{token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(json.dumps(record), encoding="utf-8")
        aside.replace(path)
    except OSError as error:
        logger.debug("%s: digest is not kept: %s", path, error)
