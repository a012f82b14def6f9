"""The `moedsr` command as a process, also `python -m moedsr_platform`: how it begins and ends."""

import signal
import sys
from typing import NoReturn

from moedsr_platform.interruption import at_once, end, handle


def run() -> NoReturn:
    """From the first moment on a signal ends it with a line; once the command is done, it changes nothing any more."""
    handle(at_once)
    from moedsr_platform.cli import main

    try:
        main(prog_name="moedsr")
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    handle(signal.SIG_IGN)
    if "ray" in sys.modules:
        from moedsr_platform.cluster.connection import FAREWELL_SECONDS, leave

        leave(FAREWELL_SECONDS)
        end(code)  # the processes of a Ray that was started here end with this one
    sys.exit(code)


if __name__ == "__main__":
    run()
