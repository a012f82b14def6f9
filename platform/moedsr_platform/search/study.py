"""The points of a sweep as an Optuna study: what was tried, by which trials, and what came out.

A point is one Optuna trial; with several seeds, several of Tune's trials share it. Everything that the search knows
is in Optuna's storage, so a process that was killed leaves nothing behind that the next one lacks, and
optuna-dashboard shows the study while the sweep runs.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import optuna
from optuna.storages import BaseStorage, InMemoryStorage, RDBStorage
from optuna.trial import Trial, TrialState

from moedsr.errors import InputError
from moedsr_platform.search.samplers import experimental
from moedsr_platform.sweep_file.search_space import Scalar
from moedsr_platform.tracking.store import without_password

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from moedsr_platform.sweep_file.schema import Objective
    from moedsr_platform.sweep_file.search_space import Domain

OWNER = "sweep"
"""User attribute of a study: the sweep that it belongs to."""

TRIALS, BEST, ENDED, REPEATS = "trials", "best ", "ended ", "repeats"
"""User attributes of a point: its trials; of each trial its best values, and how it ended; whether it is none."""


_MADE_MEANWHILE = ("already exists", "UNIQUE constraint", "duplicate key")
"""Of what databases say to two processes that make the same tables at once."""


@dataclass
class Point:
    """One point.

    Attributes:
        number: of the Optuna trial.
        trials: ids of Tune's trials that try it, one a seed.
        values: best values so far of each trial, one an objective.
        ended: state of each trial that has ended.
        open: whether the study still waits for its value.
        repeats: whether it was sampled, but not tried, because an earlier point has the same values.
    """

    number: int
    params: dict[str, Any]
    trials: list[str] = field(default_factory=list)
    values: dict[str, list[float]] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)
    open: bool = True
    repeats: bool = False


class SweepStudy:
    """One sweep's study, new or found again.

    Args:
        url: of its storage; None: in memory.
        name: of the study.
        objectives: of the sweep.
        again: whether the study may be there already.
        owner: says which sweep it is, to know its own study again in a storage that others use as well.

    Raises:
        InputError: the storage cannot be used, or holds a study of this name that is not this sweep's.
    """

    def __init__(
        self, url: str | None, name: str, objectives: "Sequence[Objective]", *, again: bool, owner: str = ""
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._storage = _storage(url)
        try:
            self._study = optuna.create_study(
                storage=self._storage,
                study_name=name,
                directions=["maximize" if objective.mode == "max" else "minimize" for objective in objectives],
                load_if_exists=again,
            )
            if (held := self._study.user_attrs.get(OWNER)) is None:
                self._study.set_user_attr(OWNER, owner)
            elif held != owner:  # this sweep was killed before it had one, and another has taken the name since
                raise optuna.exceptions.DuplicatedStudyError
        except optuna.exceptions.DuplicatedStudyError:
            raise InputError(
                f"storage {without_password(url or 'in memory')} has a study `{name}` already: "
                "choose another name with --name, or another storage"
            ) from None
        with experimental():
            self._study.set_metric_names([objective.metric for objective in objectives])
        self.url = url
        self.look_again()

    def look_again(self) -> None:
        """Takes the points as the storage has them: whoever was cut off in the middle of something begins there."""
        self._all = [self._point(frozen) for frozen in self._frozen()]
        for point in self._all:
            if point.repeats and point.open:  # a process that was killed right here had dropped it
                self.tell(point, None)

    @property
    def points(self) -> list[Point]:
        """Those that are tried, in order."""
        return [point for point in self._all if not point.repeats]

    @property
    def asked(self) -> int:
        """Number of points sampled so far, repetitions included."""
        return len(self._all)

    def dropped_before(self, number: int) -> list[Point]:
        """The points right before that one that were sampled, but not tried."""
        first = next((place for place in range(number, 0, -1) if not self._all[place - 1].repeats), 0)
        return self._all[first:number]

    def drop(self, point: Point) -> None:
        """The point has the values of an earlier one and is not tried."""
        self._storage.set_trial_user_attr(self._id(point), REPEATS, True)
        self.tell(point, None)
        point.repeats = True

    def ask(self, sampler: "BaseSampler", search: "Mapping[str, Domain]", fixed: Mapping[str, Scalar]) -> Point:
        """A new point: ``fixed`` values as they are, the rest sampled, keys in order and only where they are active."""
        self._study.sampler = sampler
        waiting = self._study.get_trials(deepcopy=False, states=[TrialState.WAITING])
        if fixed and not waiting:  # one that waits was left by a process that was killed right here
            self._study.enqueue_trial(dict(fixed))
        trial = self._study.ask()
        self._all.append(Point(trial.number, {}))
        self._sample(trial, search)
        return self._all[-1]

    def go_on(self, point: Point, sampler: "BaseSampler", search: "Mapping[str, Domain]") -> None:
        """Samples what a killed process had left open; values that are there stay."""
        self._study.sampler = sampler
        self._sample(Trial(self._study, self._id(point)), search)

    def assign(self, point: Point, trial_ids: Sequence[str]) -> None:
        """These of Tune's trials try the point."""
        point.trials = list(trial_ids)
        self._storage.set_trial_user_attr(self._id(point), TRIALS, point.trials)

    def report(self, point: Point, trial_id: str, step: int, values: Sequence[float], *, best: bool) -> None:
        """A validation of one of the point's trials."""
        if best:
            point.values[trial_id] = list(values)
            self._storage.set_trial_user_attr(self._id(point), BEST + trial_id, list(values))
        if point.trials[0] == trial_id:  # the learning curve that the dashboard draws: of the first seed
            self._storage.set_trial_intermediate_value(self._id(point), step, values[0])

    def end(self, point: Point, trial_id: str, state: str) -> None:
        """One of the point's trials has ended."""
        point.ended[trial_id] = state
        self._storage.set_trial_user_attr(self._id(point), ENDED + trial_id, state)

    def tell(self, point: Point, values: Sequence[float] | None) -> None:
        """What the point is worth; None: nothing is known, it failed. Said once; a repetition changes nothing."""
        state = TrialState.FAIL if values is None else TrialState.COMPLETE
        self._study.tell(point.number, values, state=state, skip_if_finished=True)
        point.open = False

    def _sample(self, trial: Trial, search: "Mapping[str, Domain]") -> None:
        values: dict[str, Any] = {}
        with experimental():
            for key, domain in search.items():
                if domain.active(values):
                    values[key] = _suggest(trial, key, domain)
        self._all[trial.number].params = values

    def _frozen(self) -> list[Any]:
        return self._study.get_trials(deepcopy=False, states=[s for s in TrialState if s != TrialState.WAITING])

    def _id(self, point: Point) -> int:
        study_id = self._storage.get_study_id_from_name(self._study.study_name)
        return self._storage.get_trial_id_from_study_id_trial_number(study_id, point.number)

    @classmethod
    def in_memory(cls, objectives: "Sequence[Objective]") -> Self:
        """A study that ends with the process."""
        return cls(None, "search", objectives, again=False)

    @staticmethod
    def _point(frozen: Any) -> Point:
        attributes = frozen.user_attrs
        return Point(
            frozen.number,
            dict(frozen.params),
            list(attributes.get(TRIALS, [])),
            {key.removeprefix(BEST): value for key, value in attributes.items() if key.startswith(BEST)},
            {key.removeprefix(ENDED): value for key, value in attributes.items() if key.startswith(ENDED)},
            open=not frozen.state.is_finished(),
            repeats=attributes.get(REPEATS, False),
        )


def _suggest(trial: Trial, key: str, domain: "Domain") -> Scalar:
    value: Scalar
    if domain.listed:
        value = trial.suggest_categorical(key, domain.values)
    elif domain.int is not None:
        value = trial.suggest_int(key, *domain.int)
    else:
        low, high = domain.values
        value = trial.suggest_float(key, low, high, log=domain.loguniform is not None)
    return value


def _storage(url: str | None, attempts: int = 5) -> BaseStorage:
    if url is None:
        return InMemoryStorage()
    for left in range(attempts, 0, -1):
        try:
            return RDBStorage(url)
        except Exception as error:  # whatever a database driver raises
            line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            if left == 1 or not any(words in line for words in _MADE_MEANWHILE):
                raise InputError(f"storage {without_password(url)} cannot be used: {line[:200]}") from error
        time.sleep(0.5)
    raise AssertionError
