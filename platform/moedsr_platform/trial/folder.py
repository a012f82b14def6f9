"""What a trial keeps on disk: its last and its best checkpoint, and all that it ever reported.

A trial goes on from this folder alone, whoever starts it again. It lies on storage that all nodes of the trial see.
"""

import contextlib
import fcntl
import json
import math
import shutil
import sys
import traceback
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from moedsr.errors import JobError
from moedsr.files import flush

PREFIX, FAILURE, TRACEBACK, REPORTS = "checkpoint_", "failure", "traceback.txt", "reports.jsonl"
Request = Literal["stop", "pause"]
REQUESTS: tuple[Request, ...] = ("stop", "pause")


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """One report as it was made.

    Attributes:
        step: optimiser step.
        metrics: what was measured at this step.
        history: metrics of every step since the report before.
        done: whether the training ended with it.
    """

    step: int
    metrics: dict[str, float]
    history: list[tuple[int, dict[str, float]]]
    done: bool = False

    def line(self) -> str:
        """The report as a line of a file."""
        return json.dumps([self.step, self.metrics, self.history, self.done]) + "\n"

    @classmethod
    def of(cls, line: str) -> Self:
        """Raises ValueError for a line that was not written to its end."""
        step, metrics, history, done = json.loads(line)
        return cls(step=step, metrics=metrics, history=[(at, values) for at, values in history], done=done)


class TrialFolder:
    """``<trials>/<trial id>/``.

    ``checkpoint_<step>/``  the last one and the best one, at most one more while it is being written
    ``reports.jsonl``       every report, one a line
    ``stop``, ``pause``     ask the trial to save and end at its next report: for good, or to go on later
    ``failure``             why it failed, in one line
    ``traceback.txt``       where, if it raised
    ``owner``               token of the process that writes here; one that lost it ends at its next report
    ``lock``                held for as long as a report or a change of owner takes

    Args:
        path: the folder.
        metric, mode: what makes one checkpoint better than another.
    """

    def __init__(self, path: Path, *, metric: str, mode: str) -> None:
        self.path = path
        self._metric, self._sign = metric, 1.0 if mode == "max" else -1.0
        self._token: str | None = None

    @property
    def request(self) -> Request | None:
        """Whether the trial is to end at its next report: for good (``stop``), or to go on later (``pause``)."""
        for request in REQUESTS:
            if (self.path / request).exists():
                return request
        return None

    @property
    def failure(self) -> str | None:
        """Why the trial failed, in one line, when that was written down."""
        place = self.path / FAILURE
        return place.read_text(encoding="utf-8") if place.exists() else None

    def fail(self, reason: str) -> None:
        """Write down why the trial failed, for the process that comes after this one."""
        self.path.mkdir(parents=True, exist_ok=True)
        if sys.exc_info()[0] is not None:
            _write(self.path / TRACEBACK, traceback.format_exc())
        _write(self.path / FAILURE, reason)

    @property
    def scratch(self) -> Path:
        """Where checkpoints are written before they are kept; on the same file system."""
        return self.path / f".scratch-{self._token}"

    @property
    def last(self) -> Path | None:
        """The checkpoint to go on from."""
        return max(self._checkpoints(), key=step_of, default=None)

    def checkpoint(self, step: int) -> Path | None:
        """The checkpoint of a step, if it is still kept."""
        place = self.path / f"{PREFIX}{step:07d}"
        return place if place.is_dir() else None

    def take(self) -> None:
        """Make this process the folder's only writer, and clear away what a killed one left half-written."""
        self.path.mkdir(parents=True, exist_ok=True)
        with self._locked():
            for half in self.path.glob(".scratch-*"):
                shutil.rmtree(half, ignore_errors=True)
            (self.path / "pause").unlink(missing_ok=True)
            self._token = uuid.uuid4().hex
            _write(self.path / "owner", self._token)
            self.scratch.mkdir()
            self._forget_after(step_of(self.last) if self.last else 0)

    def release(self) -> None:
        """Leave nothing but what is kept."""
        shutil.rmtree(self.scratch, ignore_errors=True)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Within, this process may write, and none can take the trial over between one file and the next.

        Raises:
            JobError: another process has taken the trial over, as after a lost node that was not dead.
        """
        with self._locked():
            owner = (self.path / "owner").read_text(encoding="utf-8")
            if self._token is not None and owner != self._token:
                raise JobError("this trial was started again elsewhere")
            yield

    def keep(self, checkpoint: Path, step: int) -> Path:
        """Move a complete checkpoint in; all but the last and the best go.

        It is on disk, with the reports that led to it, before another one goes: machines lose their power too.
        """
        for path in (*checkpoint.iterdir(), checkpoint, self.path / REPORTS):
            flush(path)
        place = self.path / f"{PREFIX}{step:07d}"
        self._remove(place)
        checkpoint.rename(place)
        flush(self.path)
        kept = {place, max(self._checkpoints(), key=self._worth)}
        for other in self._checkpoints():
            if other not in kept:
                self._remove(other)
        return place

    def write_down(self, report: Spoken) -> None:
        """Add a report, so that one whose reader was killed can be said again."""
        with (self.path / REPORTS).open("a", encoding="utf-8") as file:
            file.write(report.line())

    def spoken(self) -> Iterator[Spoken]:
        """All reports up to the last checkpoint, in order."""
        try:
            lines = (self.path / REPORTS).read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return
        for line in lines:
            with contextlib.suppress(ValueError):  # the line that was being written when the process was killed
                yield Spoken.of(line)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.path / "lock").open("w") as file:  # closed, and so given back, however its process ends
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _forget_after(self, step: int) -> None:
        """Reports after the last checkpoint are made again."""
        _write(self.path / REPORTS, "".join(said.line() for said in self.spoken() if said.step <= step))

    def _checkpoints(self) -> list[Path]:
        return [path for path in self.path.glob(f"{PREFIX}*") if path.is_dir()]

    def _remove(self, checkpoint: Path) -> None:
        """Out of sight first: half of a checkpoint, left by a process that is killed here, is none to go on from."""
        hidden = self.path / f".scratch-{uuid.uuid4().hex}"
        with contextlib.suppress(FileNotFoundError):
            checkpoint.rename(hidden)
        shutil.rmtree(hidden, ignore_errors=True)

    def validated(self, metrics: Mapping[str, Any]) -> bool:
        """Whether a report carries the objective."""
        return not math.isnan(metrics.get(self._metric, math.nan))

    def _worth(self, checkpoint: Path) -> tuple[float, int]:
        """The better validation wins, among equals the earlier; one that was not validated is worth nothing."""
        metrics = json.loads((checkpoint / "meta.json").read_text(encoding="utf-8"))["metrics"]
        value = self._sign * metrics[self._metric] if self.validated(metrics) else -math.inf
        return (value, -step_of(checkpoint))


def stop_trial(folder: Path) -> None:
    """Ask the trial that keeps this folder to end at its next report."""
    _ask(folder, "stop")


def pause_trial(folder: Path) -> None:
    """Ask the trial that keeps this folder to save itself at its next report, and end until it is started again."""
    _ask(folder, "pause")


def _ask(folder: Path, request: Request) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / request).touch()


def step_of(checkpoint: Path) -> int:
    """The optimiser step at which a kept checkpoint was made."""
    return int(checkpoint.name.removeprefix(PREFIX))


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
