"""`python -m moedsr_platform.restarting sweep …`: the `moedsr` command, started again when its process is killed.

This is what a job runs: a driver that the operating system ends for want of memory costs the job nothing but the
start of another one. A command that ends by itself, well or badly, is not started again.
"""

import contextlib
import ctypes
import signal
import subprocess
import sys
from types import FrameType

RESTARTS = 5
_PR_SET_PDEATHSIG = 1  # of Linux's prctl


def main(arguments: list[str], restarts: int = RESTARTS) -> int:
    """Runs the command; returns its exit code, 128 and the signal's number where a signal ended it."""
    asked: list[int] = []
    missed: list[int] = []  # before there was a command
    child: subprocess.Popen[bytes] | None = None

    def hear(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        if child is None:
            missed.append(number)
        else:
            child.send_signal(number)

    command = [sys.executable, "-m", "moedsr_platform", *arguments]
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, hear)
    for left in range(restarts, -1, -1):
        child = subprocess.Popen(command, preexec_fn=_end_with_parent)
        while missed:
            child.send_signal(missed.pop())
        code = child.wait()
        if code >= 0 or asked or not left:
            break
        name = signal.Signals(-code).name
        child = None
        sys.stderr.write(f"moedsr: the sweep's driver was ended by {name}; it is started again and goes on\n")
    return code if code >= 0 else 128 - code


def _end_with_parent() -> None:
    """Without this process nobody could stop the job's command any more."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
