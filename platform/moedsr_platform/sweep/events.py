"""From Tune's events to the board, the display and the tracking store, all in the driver's process."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from textwrap import shorten
from typing import Any, ClassVar

from ray import tune

from moedsr_platform.cluster.lost_processes import at_hand
from moedsr_platform.cluster.nodes import needs
from moedsr_platform.cluster.watch import ClusterWatch
from moedsr_platform.display import board as boards
from moedsr_platform.display.board import Board, Row
from moedsr_platform.display.progress import Display, WaitingNotice
from moedsr_platform.interruption import Interruption
from moedsr_platform.sweep.folder import SweepFolder
from moedsr_platform.sweep.log import SweepLog
from moedsr_platform.sweep_file.search_space import describe
from moedsr_platform.tracking.run_names import SWEEP_TAG
from moedsr_platform.tracking.sweep_page import BEST, BEST_SCORES, trial_note
from moedsr_platform.tracking.tracker import Tracker
from moedsr_platform.trial.failure_reason import reason_of
from moedsr_platform.trial.full_disk import FULL
from moedsr_platform.trial.placement_groups import Groups, new_mark
from moedsr_platform.trial.report import CHECKPOINT, ENDED, FAILURE, HISTORY, STARTED, STEP, TRACEBACK, UNSAVED
from moedsr_platform.trial.storage import fetch_patiently, is_remote
from moedsr_platform.trial.trial import GROUP, PARAMS, TrialSpec, uses_ray_train

PREFIXES = ("train/", "val/", "naive/", "random/", "smoothed/", "oracle/", "routing/", "perf/", "system/")

CONTROL_SECONDS = 5.0
"""For the control actor's answer, which lives on this machine."""

RAY_TRAIN_START = 30.0
"""Seconds that the processes of a Ray Train run take to start, before it is worth a line that they are awaited."""

LONGEST_NAME = 48
"""Characters of a run's name, the first searched values: more breaks the headings of MLflow's UI."""


class SweepListener:
    """Keeps board, display and tracking store up to date."""

    def __init__(
        self,
        *,
        board: Board,
        log: SweepLog,
        folder: SweepFolder,
        display: Display,
        tracker: Tracker,
        parent: str | None,
        tags: Mapping[str, str],
        spec: TrialSpec,
        interruption: Interruption,
        cluster: ClusterWatch,
        again: str,
    ) -> None:
        self.board, self.log, self.folder, self.display, self.tracker = board, log, folder, display, tracker
        self.parent, self.tags, self.spec = parent, tags, spec
        self.interruption, self.cluster, self.again = interruption, cluster, again
        self.over = False
        self.unwritable: OSError | None = None  # what came when something was to be written down
        self._suspended = False
        self._pending: list[str] = []
        self.runs: dict[str, str] = {}
        trains = uses_ray_train(spec.resources)
        self.groups = Groups(used=trains)
        self._waiting = WaitingNotice(display, needs(spec.resources), RAY_TRAIN_START if trains else 0.0)

    def run_of(self, row: Row) -> str:
        """The MLflow run of a trial, made when it is first asked for."""
        if row.trial_id not in self.runs:
            config = self.spec.config(row.params)
            searched = f"trial {row.number}: {describe(row.params)}"
            name = shorten(searched, LONGEST_NAME, placeholder="") if self.parent else self.tags[SWEEP_TAG]
            self.runs[row.trial_id] = self.tracker.trial_run(
                self.parent, row.trial_id, config, self.tags, name=name, goes_on=row.state not in boards.ENDED
            )
        return self.runs[row.trial_id]

    def started(self, trial_id: str, params: Mapping[str, Any]) -> None:
        """A trial begins or begins again: it has the room for all of its workers."""
        row = self.board.start(trial_id, params)
        self.run_of(row)
        self.board.save(self.folder.rows)
        self.display.update(row, "start")

    def reported(self, trial_id: str, result: Mapping[str, Any]) -> None:
        """A report of the trial's first worker arrives."""
        if UNSAVED in result:
            self.interruption.ask(FULL)
        if traceback := result.get(TRACEBACK):
            self._keep_traceback(trial_id, traceback)
        if FAILURE in result or UNSAVED in result:
            return
        row = self.board.rows[trial_id]
        if STARTED in result:
            if self.interruption.asked is None and row.state != "RUNNING":
                self.started(trial_id, row.params)
            return
        if self.interruption.asked is None:  # what a trial says while it saves itself does not make it run again
            row = self.board.start(trial_id, row.params)
        metrics = {
            name: float(value)
            for name, value in result.items()
            if name.startswith(PREFIXES) and isinstance(value, int | float)
        }
        step, checkpoint = int(result.get(STEP, 0)), result.get(CHECKPOINT)
        history = {int(at): dict(values) for at, values in result.get(HISTORY) or []}
        history[step] = {**metrics, **history.get(step, {})}
        self.tracker.log_history(self.run_of(row), sorted(history.items()))
        before = row.validated
        best = self.board.report(trial_id, step, metrics, checkpoint)
        if best:
            names = [name for name in dict.fromkeys((self.board.metric, *BEST_SCORES)) if name in metrics]
            self.tracker.log_history(self.run_of(row), [(step, {f"{BEST}{name}": metrics[name] for name in names})])
        if best and checkpoint is not None:
            self._log_checkpoint(row, checkpoint)
        validated = row.validated > before  # what a resumed trial says again was heard before
        if validated:
            self.log.validated(trial_id, step, metrics, checkpoint)
            self.board.save(self.folder.rows)
        self.display.update(row, "validated" if validated else "step")

    def _log_checkpoint(self, row: Row, checkpoint: str) -> None:
        """From an object store it is copied first; a server that is slow to answer makes the sweep wait."""
        if not is_remote(checkpoint):
            if Path(checkpoint).is_dir():
                self.tracker.log_checkpoint(self.run_of(row), Path(checkpoint))
            return
        copy = fetch_patiently(self.spec.storage, checkpoint, self.folder.trials / row.trial_id / "copy")
        if copy is not None:
            self.tracker.log_checkpoint(self.run_of(row), copy)
            shutil.rmtree(copy)

    def _keep_traceback(self, trial_id: str, text: str) -> None:
        place = self.folder.traceback(trial_id)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")

    def lost_process(self, trial_id: str, group: int) -> None:
        """A trial has lost its process, and is about to get another one."""
        self.groups.remove(group)
        self.board.rows[trial_id].state = "WAITING"

    def ended(self, trial_id: str, failure: str | None, *, whole: bool = True) -> None:
        """A trial completed, was stopped early, or failed; or, not ``whole``, it saved itself to go on later."""
        if failure is None and not whole and self.interruption.asked:
            return
        row = self.board.end(trial_id, failure)
        assert row.state in boards.ENDED
        note = trial_note(self.board, row)
        self.tracker.finish_trial(self.run_of(row), row.state, row.reason, note=note)  # type: ignore[arg-type]
        # last, and what the log lacks happens again: said twice is harmless, not said is not
        self.log.ended(trial_id, row.step, failure)
        self.board.save(self.folder.rows)
        self.display.update(row, "end")

    def tick(self, running: list[str], pending: list[str]) -> None:
        """Time passes: says what trials wait for, and, once asked to, has them save themselves and end.

        Once the last trial has ended, nothing more is asked of Ray.

        Args:
            running: ids of the trials that have a process.
            pending: ids of those that have none.
        """
        if not self.board.unfinished:
            self.over = True
            return
        self.groups.tick()
        if (gone := self.cluster.lost()) is not None:
            self.interruption.ask(gone)
        if self.interruption.asked is None:
            if pending != self._pending:
                self._pending = pending
                self.board.save(self.folder.rows)
            self._waiting.tick([self.board.rows[trial_id] for trial_id in (*running, *pending)])
            return
        if not self._suspended:
            self._suspend()
        for trial_id in running:
            self.spec.control.ask.remote(trial_id, "pause")
        self.over = not running or self.interruption.overdue

    def _suspend(self) -> None:
        """At once, since whoever asked may not be patient: the store shows no run as running, the table neither."""
        self._suspended = True
        left = self.board.left
        saving = f"saving {len(left)} running trial{'s' if len(left) != 1 else ''}" if left else "nothing runs"
        self.display.say(f"{self.interruption.asked}: {saving}. Go on with: {self.again}")
        for row in left:
            row.state = "WAITING"
            if row.trial_id in self.runs:
                self.tracker.suspend(self.runs[row.trial_id])
        if self.parent is not None:
            self.tracker.suspend(self.parent)
        self.board.save(self.folder.rows)

    def lost(self, trial_id: str, error: BaseException | None) -> None:
        """A trial ended without saying so itself; while the sweep is interrupted that is no fault of its own."""
        if not self.interruption.asked:
            self.ended(trial_id, self._told_failure(trial_id) or reason_of(error))

    def _told_failure(self, trial_id: str) -> str | None:
        """What a worker said of its failure before its process ended."""
        import ray

        try:
            failure = ray.get(self.spec.control.failure.remote(trial_id), timeout=CONTROL_SECONDS)
        except (ray.exceptions.RayError, ray.exceptions.GetTimeoutError):  # gone, and what it knew with it
            return None
        if failure is None:
            return None
        if failure.traceback:
            self._keep_traceback(trial_id, failure.traceback)
        return str(failure.reason)


class SessionOver(BaseException):
    """Every trial has ended, has saved itself, or has had its time: Tune's loop is left.

    Tune itself would clean up before it returns, which asks of Ray what ends with this process in any case, and waits
    for an answer even if Ray is gone.
    """


class TrialEvents(tune.Callback):
    """Tune's callback. Tune pickles it with the experiment, so that what it tells stays in this process."""

    listener: ClassVar[SweepListener | None] = None

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        # workers of a Ray Train run come later, and say themselves that they have begun
        self._tell(
            lambda listener: (
                None
                if uses_ray_train(listener.spec.resources)
                else listener.started(trial.trial_id, trial.config[PARAMS])
            )
        )

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        self._tell(lambda listener: listener.reported(trial.trial_id, result))

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        last = trial.last_result or {}
        self._tell(lambda listener: listener.groups.remove(trial.config[GROUP]))
        self._tell(lambda listener: listener.ended(trial.trial_id, last.get(FAILURE), whole=last.get(ENDED, False)))

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        by_status = [[trial.trial_id for trial in trials if trial.status == name] for name in ("RUNNING", "PENDING")]
        self._tell(lambda listener: listener.tick(*by_status))
        if self.listener is not None and self.listener.over:
            raise SessionOver

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """It is about to begin again, with a group of its own."""
        lost, trial.config[GROUP] = trial.config[GROUP], new_mark()
        self._tell(lambda listener: listener.lost_process(trial.trial_id, lost))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        error = at_hand() or trial.get_pickled_error()
        self._tell(lambda listener: listener.groups.remove(trial.config[GROUP]))
        self._tell(lambda listener: listener.lost(trial.trial_id, error))

    def _tell(self, event: Callable[[SweepListener], None]) -> None:
        """What cannot be written down ends the session; Tune would take it for a failure of the trial."""
        listener = self.listener
        if listener is None or listener.unwritable is not None:
            return
        try:
            event(listener)
        except OSError as error:
            if isinstance(error, ConnectionError | TimeoutError):  # Ray's own
                raise
            listener.unwritable, listener.over = error, True
            listener.interruption.ask(str(error))
