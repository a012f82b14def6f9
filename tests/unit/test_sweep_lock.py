"""One process at a time runs a sweep."""

import errno
import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from moedsr.errors import InputError
from moedsr_platform.sweep.lock import is_held, only_here

HOLD = """
import sys, time
from pathlib import Path
from moedsr_platform.sweep.lock import only_here
with only_here(Path(sys.argv[1]), "mine", "raysubmit_7"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_second_process_is_refused_until_the_first_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        who = rf"sweep `mine` is being run by process {first.pid} on \S+, Ray job raysubmit_7 since 20"
        with pytest.raises(InputError, match=who), only_here(path, "mine"):
            pass
    finally:
        first.kill()
        first.wait()
    with only_here(path, "mine"):
        assert f'"pid": {os.getpid()}' in path.read_text()


def test_a_file_system_without_locks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", fail)
    with (
        pytest.raises(InputError, match=r"cannot be locked .No locks available.: mount the file system with locks"),
        only_here(tmp_path / "lock", "mine"),
    ):
        pass


def test_an_owner_that_wrote_nothing_yet(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="run by another process"), only_here(path, "mine"):
            pass


def test_who_only_looks_is_in_nobodys_way(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch()
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_SH)  # as is_held does for a moment
        threading.Timer(0.1, fcntl.flock, (file, fcntl.LOCK_UN)).start()
        with only_here(path, "mine"):
            assert is_held(path)
    assert not is_held(path)
