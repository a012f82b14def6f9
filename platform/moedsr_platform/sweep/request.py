"""What one call of `moedsr sweep` or `moedsr train` asks for, and the command that goes on with it."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from moedsr_platform.sweep_file.schema import SweepFile
from moedsr_platform.tracking.store import in_uploaded_folder
from moedsr_platform.trial.loop import TrainFunction


@dataclass(frozen=True, kw_only=True)
class Request:
    """One call of `moedsr sweep` or `moedsr train`.

    Attributes:
        sweep: the checked file.
        file: where it came from.
        command: `sweep` or `train`, as the file is read.
        resume: go on with the latest sweep of this name that is unfinished, else with the latest.
        address: Ray cluster; None: $RAY_ADDRESS, else this machine.
        train: the training function; None for ``moedsr.train.train``.
        flags: of the command line, that a resumption needs as well.
    """

    sweep: SweepFile
    file: Path
    command: str = "sweep"
    resume: bool = False
    address: str | None = None
    train: TrainFunction | None = None
    flags: tuple[str, ...] = ()


def again(request: Request, *, resume: bool | None = None) -> str:
    """The command that goes on with a request; ``resume``: whether its sweep has begun."""
    resumed = ["--resume"] if (request.resume if resume is None else resume) else []
    line = shlex.join(["moedsr", request.command, str(request.file), *request.flags, *resumed])
    return f"ray job submit --working-dir . -- {line}" if in_uploaded_folder() else line
