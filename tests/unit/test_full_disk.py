"""What counts as a full disk."""

import errno
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from moedsr_platform.trial.full_disk import is_full


class Usage(NamedTuple):
    free: int


@pytest.mark.parametrize(
    ("error", "free", "full"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), 10**12, True),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), 10**12, True),
        (RuntimeError("I/O error: No space left on device (os error 28)"), 10**12, True),
        ("worker 0: OSError: [Errno 28] No space left on device", 10**12, True),
        (RuntimeError("[enforce fail at inline_container.cc:603] . unexpected pos 64 vs 0"), 10**6, True),
        (RuntimeError("[enforce fail at inline_container.cc:603] . unexpected pos 64 vs 0"), 10**12, False),
        (OSError(errno.EACCES, "Permission denied"), 10**12, False),
    ],
)
def test_what_says_or_means_that_there_is_no_room(
    error: BaseException | str, free: int, full: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(free))
    assert is_full(error, tmp_path) == full
