"""Trials for Tune, under ids of our own: first those that a sweep left unfinished, then new ones from the searcher."""

import copy
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.search import SearchGenerator
from ray.tune.search.searcher import Searcher

from moedsr_platform.cluster.ray_internals import create_trial
from moedsr_platform.display.board import Board
from moedsr_platform.interruption import Interruption
from moedsr_platform.sweep.log import SweepLog
from moedsr_platform.trial.placement_groups import new_mark
from moedsr_platform.trial.report import ENDED, FAILURE
from moedsr_platform.trial.trial import GROUP, PARAMS


class TrialSource(SearchGenerator):
    """Tune's own generator gives every trial a random id, by which a resumed sweep could not know it again.

    Args:
        search: proposes points; an unfinished trial's is the one that it had.
        at_once: trials that run at the same time.
        board: how far the sweep is; a trial that is given is on it before Tune sees it.
        log: where a new trial is written down first.
        interruption: once it is asked for, no trial is given.
    """

    def __init__(self, search: Searcher, at_once: int, board: Board, log: SweepLog, interruption: Interruption) -> None:
        super().__init__(search)
        self._at_once, self._board, self._log, self.interruption = at_once, board, log, interruption
        self._left = [row.trial_id for row in board.left]

    def is_finished(self) -> bool:
        """Whether every trial of the sweep has been given, or none is to be given any more."""
        if self.interruption.asked:
            return True
        return self._finished or (not self._left and len(self._board.rows) >= self._board.total)

    def create_trial_if_possible(self, experiment_spec: dict[str, Any]) -> Trial | None:
        """The next trial; None while as many run as may."""
        trial_id = self.next_id()
        if trial_id is None:
            return None
        row = self._board.rows[trial_id]
        given = {PARAMS: dict(row.params), GROUP: new_mark()}
        spec = {**copy.deepcopy(experiment_spec), "config": given}
        return create_trial(
            spec, self._parser, evaluated_params=given, experiment_tag=str(row.number), trial_id=trial_id
        )

    def next_id(self) -> str | None:
        """The id of the next trial, which is on the board and in the log by then.

        Those that run are counted by the log: the searcher may know of an end that a killed driver could not log.
        """
        if len(self._board.left) - len(self._left) >= self._at_once or self.is_finished():
            return None
        trial_id = self._left[0] if self._left else self._log.trial_id(len(self._board.rows) + 1)
        params = self.searcher.suggest(trial_id)
        if params is None or params == Searcher.FINISHED:
            self._finished = params is not None
            return None
        if self._left:
            self._left.pop(0)
        else:
            self._log.asked(trial_id, params)
            self._board.ask(trial_id, params)
        return trial_id

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Passed on, but for a trial that only saved itself, or was lost, because the sweep was interrupted."""
        told = result or {}
        if self.interruption.asked and not told.get(ENDED) and FAILURE not in told:
            return
        super().on_trial_complete(trial_id, result, error)

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles it with the experiment, and nobody reads that: the log is what a resumed sweep goes on from."""
        return {}

    def save_to_dir(self, dirpath: str, session_str: str) -> None:
        """As above."""
