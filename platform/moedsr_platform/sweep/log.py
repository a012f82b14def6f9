"""The log of a sweep: what was asked, heard and ended, in order. A resumed sweep is what its replayed log makes of it.

Nothing else is needed to go on: searcher, scheduler and table are made anew and told again what they were told
before, in the same order, so that they come to the state that they had. Tune's own saved state lags seconds behind
a driver that is killed, and would give trials twice.
"""

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from moedsr.errors import InputError
from moedsr.files import flush
from moedsr_platform.display.board import Board
from moedsr_platform.trial.report import FAILURE, STEP

ASKED, VALIDATED, ENDED = "asked", "validated", "ended"


class SweepLog:
    """An append-only file, one event a line; one process at a time writes it.

    The last line of a process that was killed may be torn, and a machine that lost its power may have lost more of the
    end: the file is cut where it can no longer be read, and what was told behind happens again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mend()
        if path.stat().st_size == 0:
            self._append({"event": "sweep", "key": secrets.token_hex(2)})
            flush(path)  # another key would make other trials of those that there are
        self.key: str = json.loads(path.read_text(encoding="utf-8").splitlines()[0])["key"]

    def trial_id(self, number: int) -> str:
        """The id of the trial that was asked for as the so many-th; the same in every session of the sweep."""
        return f"{self.key}-{number:03d}"

    def asked(self, trial_id: str, params: Mapping[str, Any]) -> None:
        """The searcher gave a trial."""
        self._append({"event": ASKED, "trial": trial_id, "params": dict(params)})

    def validated(self, trial_id: str, step: int, metrics: Mapping[str, float], checkpoint: str | None) -> None:
        """A trial's validation was heard."""
        told = {"step": step, "metrics": dict(metrics), "checkpoint": checkpoint}
        self._append({"event": VALIDATED, "trial": trial_id, **told})

    def ended(self, trial_id: str, step: int, failure: str | None) -> None:
        """A trial completed, was stopped early, or failed."""
        self._append({"event": ENDED, "trial": trial_id, "step": step, "failure": failure})

    def events(self) -> Iterator[dict[str, Any]]:
        """What happened to trials, in order."""
        for line in self.path.read_text(encoding="utf-8").splitlines()[1:]:
            yield json.loads(line)

    def _append(self, event: dict[str, Any]) -> None:
        """The whole line or nothing of it.

        Raises:
            OSError: the disk is full.
        """
        before = self.path.stat().st_size
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(event) + "\n")
        except OSError:
            os.truncate(self.path, before)
            raise

    def _mend(self) -> None:
        self.path.touch()
        whole = self.path.read_bytes()
        end = 0
        for line in whole.splitlines(keepends=True):
            if not (line.endswith(b"\n") and _is_event(line)):
                break
            end += len(line)
        if end < len(whole):
            os.truncate(self.path, end)


def _is_event(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


@dataclass(frozen=True)
class Known:
    """A trial as far as a scheduler knows it."""

    trial_id: str


class Search(Protocol):
    """What a replay asks of a searcher."""

    def suggest(self, trial_id: str) -> Any: ...
    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None: ...
    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None: ...


def replay(log: SweepLog, board: Board, search: Search | None = None, scheduler: Any = None) -> None:
    """Tell board, searcher and scheduler (None: there is none) all that happened, as Tune told it then.

    Raises:
        InputError: the searcher gives other points than it gave before.
    """
    for event in log.events():
        trial_id = event["trial"]
        if event["event"] == ASKED:
            if search is not None and (given := search.suggest(trial_id)) != event["params"]:
                raise InputError(
                    f"{log.path}: trial {trial_id} was {event['params']}, but the search now gives {given}: "
                    "go on with the versions of Optuna and of this software that began the sweep, or start anew"
                )
            board.ask(trial_id, event["params"])
            if scheduler is not None:
                scheduler.on_trial_add(None, Known(trial_id))
        elif event["event"] == VALIDATED:
            result = {STEP: event["step"], **event["metrics"]}
            if scheduler is not None:
                scheduler.on_trial_result(None, Known(trial_id), result)
            if search is not None:
                search.on_trial_result(trial_id, result)
            board.report(trial_id, event["step"], event["metrics"], event["checkpoint"])
        elif event["event"] == ENDED:
            failed = event["failure"] is not None
            result = {STEP: event["step"], **({FAILURE: event["failure"]} if failed else {})}
            if scheduler is not None:
                scheduler.on_trial_complete(None, Known(trial_id), result)
            if search is not None:
                search.on_trial_complete(trial_id, result, error=failed)
            board.rows[trial_id].step = event["step"]
            board.end(trial_id, event["failure"])
