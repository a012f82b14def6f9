"""Optuna behind Tune: which point comes next, and what the sampler learns from a trial.

Tune's own OptunaSearch keeps its state in a pickle and forgets, when a sweep is resumed, which trials it has to wait
for. Here all state is in the study: Tune's snapshot only says which trials Tune knows.
"""

import json
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from optuna.exceptions import StorageInternalError
from ray.tune.search import Searcher

from moedsr_platform.display.seed_means import SEED
from moedsr_platform.search.samplers import make_sampler
from moedsr_platform.search.study import Point, SweepStudy
from moedsr_platform.sweep_file.schema import SweepFile
from moedsr_platform.sweep_file.search_space import Scalar, grid_points, nearest_untried, space_size
from moedsr_platform.tracking.store import without_password
from moedsr_platform.trial.report import FAILURE, STEP

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

PATIENCE, PAUSE = 600.0, 1.0
"""Seconds for which a storage may be away, and between two attempts; Optuna itself has none, and 5 s for a lock."""

MANY = 20_000
"""Points of a space of listed values above which it is not looked whether one was tried: chance hardly repeats any."""


ATTEMPTS = 10
"""How often a sampler is asked again for a point that was not tried."""


@dataclass(frozen=True)
class StudyPlace:
    """Where the study of a sweep is kept; without an address, in memory.

    Attributes:
        url: database.
        name: of the study: the sweep's id.
        again: whether a study of this name may be there already, because the sweep is resumed.
        owner: the sweep's key.
    """

    url: str | None = None
    name: str = "search"
    again: bool = False
    owner: str = ""


class SweepSearch(Searcher):
    """Asks Optuna for points, repeats each with several seeds, and learns from a trial's best validation.

    Most reports carry no validation: those are passed over. A trial counts with the validation that was best in the
    first objective; the second is read there. With several seeds a point is worth the mean of its trials, and the
    sampler hears of it when the last one has ended. A trial that was stopped early counts with what it had reached.
    """

    def __init__(self, sweep: SweepFile, place: StudyPlace | None = None) -> None:
        super().__init__(metric=sweep.objective.metric, mode=sweep.objective.mode)
        self._sweep, self._place = sweep, place or StudyPlace()
        place = self._place
        self.study = SweepStudy(place.url, place.name, sweep.objectives, again=place.again, owner=place.owner)
        self.away: str | None = None
        self._fixed: list[dict[str, Scalar]] = list(sweep.start)
        if sweep.sampler == "grid":
            self._fixed += grid_points(sweep.search)
        self._at_once: int | None = None
        size = space_size(sweep.search)
        self._finite = size if size is not None and size <= MANY else None

    def __reduce__(self) -> tuple[Any, ...]:
        """Tune pickles the searcher: a copy opens the study again."""
        place = replace(self._place, again=self._place.url is not None)
        return SweepSearch, (self._sweep, place)

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        """Held here: Tune's own limiter ignores, after a resume, the ends of trials that it did not begin."""
        self._at_once = max_concurrent
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The first point that still lacks a trial, else a new one; None while enough trials run.

        A trial that the study knows, from before a resume, gets its own values again.
        """
        return self._patiently(lambda: self._suggest(trial_id))

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Keeps the best validation."""
        self._patiently(lambda: self._hear(trial_id, result))

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tells Optuna the value of a point once all of its trials have ended."""
        self._patiently(lambda: self._end(trial_id, result, error))

    def _patiently(self, ask: Callable[[], Answer]) -> Answer:
        """While the storage is away, or another process writes it, the driver waits; the trials that run train on.

        Raises:
            StorageInternalError: it was away for too long; ``away`` says so in a line.
        """
        since, cut_off = time.monotonic(), False
        while True:
            try:
                if cut_off:
                    self.study.look_again()
                return ask()
            except StorageInternalError as error:
                why = f"storage {without_password(self.study.url or '')} does not answer ({_reason(error)})"
                if time.monotonic() - since > PATIENCE:
                    self.away = why
                    raise
                log.warning("search: %s; keeping on trying", why)
            cut_off = True
            time.sleep(PAUSE)

    def _suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        if (known := self._point_of(trial_id)) is not None:
            return self._params(known, trial_id)
        running = sum(trial not in point.ended for point in self.study.points for trial in point.trials)
        if self._at_once is not None and running >= self._at_once:
            return None
        point = next((point for point in self.study.points if point.open and self._lacking(point)), None)
        if point is None:
            if len(self.study.points) >= self._sweep.points:
                return Searcher.FINISHED
            point = self._new_point()
        elif not point.trials:
            self.study.go_on(point, make_sampler(self._sweep, point.number), self._sweep.search)
        if not point.trials:
            point = self._new_for(point)
        self.study.assign(point, [*point.trials, trial_id])
        return self._params(point, trial_id)

    def _hear(self, trial_id: str, result: dict[str, Any]) -> None:
        point = self._point_of(trial_id)
        found = (result.get(objective.metric) for objective in self._sweep.objectives)
        values = [float(value) for value in found if value is not None and math.isfinite(value)]
        if point is None or not point.open or len(values) < len(self._sweep.objectives):
            return
        before = point.values.get(trial_id)
        sign = self._sweep.objective.sign
        best = before is None or sign * values[0] > sign * before[0]
        self.study.report(point, trial_id, int(result.get(STEP, 0)), values, best=best)

    def _end(self, trial_id: str, result: dict[str, Any] | None, error: bool) -> None:
        point = self._point_of(trial_id)
        if point is None or not point.open:
            return
        if result is not None:
            self._hear(trial_id, result)
            error = error or FAILURE in result
        self.study.end(point, trial_id, "FAIL" if error else "COMPLETE")
        if self._lacking(point) or not point.ended.keys() >= set(point.trials):
            return
        found = [
            point.values[trial] for trial in point.trials if trial in point.values and point.ended[trial] != "FAIL"
        ]
        self.study.tell(point, [sum(column) / len(column) for column in zip(*found, strict=True)] or None)

    def save(self, checkpoint_path: str) -> None:
        """Which trials Tune knows as it saves its own state; all else is in the study."""
        known = [trial for point in self.study.points for trial in point.trials]
        Path(checkpoint_path).write_text(json.dumps(known), encoding="utf-8")

    def restore(self, checkpoint_path: str) -> None:
        """Gives the places of trials that Tune has forgotten to trials to come: their points are tried, once."""
        known = set(json.loads(Path(checkpoint_path).read_text(encoding="utf-8")))
        for point in self.study.points:
            if point.open and not known.issuperset(point.trials):
                self.study.assign(point, [trial for trial in point.trials if trial in known])

    def _new_point(self) -> Point:
        """After points that repeat others, the nearest that was not tried, or, in the end, one by chance.

        What came before is asked of the study, so that a process that was killed here makes no difference.
        """
        number, dropped = len(self.study.points), self.study.dropped_before(self.study.asked)
        fixed = self._fixed[number] if number < len(self._fixed) and not dropped else {}
        if dropped and self._finite:
            tried = [point.params for point in self.study.points]
            fixed = nearest_untried(self._sweep.search, dropped[-1].params, tried, seed=dropped[-1].number)
        sampler = make_sampler(self._sweep, self.study.asked, chance=len(dropped) > ATTEMPTS)
        return self.study.ask(sampler, self._sweep.search, fixed)

    def _new_for(self, point: Point) -> Point:
        """The point, or another that was not tried: the same values with the same seed teach nothing new.

        In a space of listed values that is the nearest one. Elsewhere only crossing two points (NSGA-II) can repeat
        one: it is asked again, and after some attempts chance.
        """
        while len(self.study.dropped_before(point.number)) <= ATTEMPTS:
            tried = [other.params for other in self.study.points if other is not point]
            if point.params not in tried or self._all_tried(len(tried)):
                break
            self.study.drop(point)
            point = self._new_point()
        return point

    def _all_tried(self, tried: int) -> bool:
        """Whether only repetitions are left, or too many points to look for one."""
        size = space_size(self._sweep.search)
        return not self._sweep.search or (size is not None and (self._finite is None or tried >= size))

    def _params(self, point: Point, trial_id: str) -> dict[str, Any]:
        params = dict(point.params)
        if self._sweep.seeds > 1:
            params[SEED] = self._sweep.base.training.seed + point.trials.index(trial_id)
        return params

    def _lacking(self, point: Point) -> bool:
        return len(point.trials) < self._sweep.seeds

    def _point_of(self, trial_id: str) -> Point | None:
        return next((point for point in self.study.points if trial_id in point.trials), None)


def _reason(error: BaseException) -> str:
    """What the database said, in one line; Optuna's own words only guess."""
    lines = str(error.__cause__ or error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
