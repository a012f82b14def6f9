"""A disk that is full is no fault of a trial: the sweep stops, and goes on when there is room again."""

import errno
import shutil
from pathlib import Path

from moedsr.errors import JobError

FULL = "the disk is full"
_ERRNOS = (errno.ENOSPC, errno.EDQUOT)
_WORDS = ("No space left on device", "Disk quota exceeded")
_LITTLE = 16 * 1024**2
"""Bytes: with less than that, an error that does not say why, as torch's when it cannot write a file, means this."""


class DiskFullError(JobError):
    """A trial could not save itself."""


def is_full(error: BaseException | str, folder: Path) -> bool:
    """Whether an error, met while something was written below that folder, says or means that there was no room."""
    if isinstance(error, OSError) and error.errno in _ERRNOS:
        return True
    if any(words in str(error) for words in _WORDS):
        return True
    try:
        return shutil.disk_usage(folder).free < _LITTLE
    except OSError:
        return False
