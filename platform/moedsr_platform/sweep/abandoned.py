"""Sweeps whose driver was killed and could not say so: their runs are closed in the tracking store by somebody else.

A small process that the driver starts waits for the driver's death. Where that one is killed too, as when a machine
loses its power, `moedsr ui` and `moedsr sync` do the same. Runs that are closed go on with ``--resume``.
"""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moedsr_platform.sweep.folder import SweepFolder

LOOK_SECONDS = 1.0


def is_abandoned(folder: "SweepFolder") -> bool:
    """Whether a sweep has begun, has not finished, and is run by nobody."""
    from moedsr_platform.sweep.lock import is_held

    return folder.lock.exists() and not folder.finished.exists() and not is_held(folder.lock)


def has_more_to_say(folder: "SweepFolder") -> bool:
    """Whether a sweep is abandoned, or its driver was killed when all was done and only not told yet."""
    from moedsr_platform.sweep.lock import is_held
    from moedsr_platform.tracking.journal import is_waiting

    begun = folder.lock.exists() and not is_held(folder.lock)
    return begun and (not folder.finished.exists() or is_waiting(folder.tracking))


def close_abandoned(folder: "SweepFolder") -> int:
    """Shows the runs of an abandoned sweep as KILLED, after all that its driver had left to be sent.

    Returns:
        how many were shown as running; 0 where the store is away: it is told later.

    Raises:
        InputError: another process is sending what the sweep left.
    """
    from moedsr_platform.tracking.store import StoreAwayError
    from moedsr_platform.tracking.tracker import Tracker

    try:
        opened = Tracker.open(folder=folder.tracking)
    except StoreAwayError:
        opened = Tracker.open(folder=folder.tracking, away=True)
    with opened as tracker:
        # looked at again, now that nobody else can write: a resumed sweep waits for this to end
        if not is_abandoned(folder):
            return 0
        tracker.abandon()
        tracker.drain()
        return tracker.abandoned


def outlive(folder: Path) -> "subprocess.Popen[bytes]":
    """A process that waits for the death of this one; to be ended where all was told."""
    command = [sys.executable, "-m", "moedsr_platform.sweep.abandoned", str(folder), str(os.getpid())]
    nothing = subprocess.DEVNULL
    return subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)


def dismiss(watcher: "subprocess.Popen[bytes]") -> None:
    """Ends that process."""
    watcher.kill()
    watcher.wait()


def main(folder: str, parent: str) -> None:
    """Waits for the parent's death, with nothing imported that costs memory, then closes the sweep in that folder.

    ``parent``: its process id; it may be dead before this process can ask.
    """
    while os.getppid() == int(parent):
        time.sleep(LOOK_SECONDS)
    from moedsr_platform.sweep.folder import SweepFolder

    abandoned = SweepFolder(Path(folder))
    threading.Thread(target=_make_way, args=(abandoned,), daemon=True).start()
    close_abandoned(abandoned)


def _make_way(folder: "SweepFolder") -> None:
    """Whoever goes on with the sweep needs what this process holds, which may wait for a server for minutes."""
    from moedsr_platform.sweep.lock import is_held

    while not is_held(folder.lock):
        time.sleep(LOOK_SECONDS)
    os._exit(0)  # what is under way is sent again


if __name__ == "__main__":
    main(*sys.argv[1:])
