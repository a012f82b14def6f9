"""From Tune's events to the board, the display and the tracking store, all in the driver's process."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from ray import tune

from moedsr_platform.board import ENDED, Board, Row
from moedsr_platform.progress import Display
from moedsr_platform.tracking import Tracker
from moedsr_platform.trial import FAILURE, TrialSpec, reason_of
from moedsr_platform.worker import CHECKPOINT, HISTORY, STEP

PREFIXES = ("train/", "val/", "naive/", "smoothed/", "oracle/", "routing/", "perf/", "system/")


class SweepListener:
    """Keeps board, display and tracking store up to date."""

    def __init__(
        self,
        *,
        board: Board,
        saved: Path,
        display: Display,
        tracker: Tracker,
        parent: str | None,
        tags: Mapping[str, str],
        spec: TrialSpec,
    ) -> None:
        self.board, self.saved, self.display, self.tracker = board, saved, display, tracker
        self.parent, self.tags, self.spec = parent, tags, spec
        self.runs: dict[str, str] = {}

    def run_of(self, row: Row) -> str:
        """The MLflow run of a trial, made when it is first asked for."""
        if row.trial_id not in self.runs:
            config = self.spec.config(row.params)
            self.runs[row.trial_id] = self.tracker.trial_run(
                self.parent, row.trial_id, config, self.tags, goes_on=row.state not in ENDED
            )
        return self.runs[row.trial_id]

    def started(self, trial_id: str, params: Mapping[str, Any]) -> None:
        """A trial begins or begins again."""
        row = self.board.start(trial_id, params)
        self.run_of(row)
        self.board.save(self.saved)
        self.display.update(row, "start")

    def reported(self, trial_id: str, result: Mapping[str, Any]) -> None:
        """A report of the trial's first worker arrives."""
        if trial_id not in self.board.rows or FAILURE in result:
            return
        row = self.board.rows[trial_id]
        metrics = {
            name: float(value)
            for name, value in result.items()
            if name.startswith(PREFIXES) and isinstance(value, int | float)
        }
        step, checkpoint = int(result.get(STEP, 0)), result.get(CHECKPOINT)
        history = {int(at): dict(values) for at, values in result.get(HISTORY) or []}
        history[step] = {**metrics, **history.get(step, {})}
        self.tracker.log_history(self.run_of(row), sorted(history.items()))
        best = self.board.report(trial_id, step, metrics, checkpoint)
        if best and checkpoint is not None and Path(checkpoint).is_dir():
            self.tracker.log_checkpoint(self.run_of(row), Path(checkpoint))
        validated = self.board.metric in metrics
        if validated:
            self.board.save(self.saved)
        self.display.update(row, "validated" if validated else "step")

    def ended(self, trial_id: str, failure: str | None) -> None:
        """A trial completed, was stopped early, or failed."""
        if trial_id not in self.board.rows:
            return
        row = self.board.end(trial_id, failure)
        assert row.state in ENDED
        self.tracker.finish_trial(self.run_of(row), row.state, row.reason)  # type: ignore[arg-type]
        self.board.save(self.saved)
        self.display.update(row, "end")

    def failure_of(self, trial_id: str, error: BaseException | None) -> str:
        """Why a trial ended without saying so itself."""
        return self.spec.trial_folder(trial_id).failure or reason_of(error)


class TrialEvents(tune.Callback):
    """Tune's callback. Tune pickles it with the experiment, so that what it tells stays in this process."""

    listener: ClassVar[SweepListener | None] = None

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        if self.listener is not None:
            self.listener.started(trial.trial_id, trial.config)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        if self.listener is not None:
            self.listener.reported(trial.trial_id, result)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        if self.listener is not None:
            self.listener.ended(trial.trial_id, (trial.last_result or {}).get(FAILURE))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        if self.listener is not None:
            self.listener.ended(trial.trial_id, self.listener.failure_of(trial.trial_id, trial.get_pickled_error()))
