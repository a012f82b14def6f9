"""One trial: a Tune function that trains with the sampled values, with one worker or several."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from moedsr.config import Config
from moedsr.errors import InputError, JobError
from moedsr_platform.sweep_file.schema import Objective, Resources
from moedsr_platform.sweep_file.search_space import override
from moedsr_platform.trial.failure_reason import last_line, named
from moedsr_platform.trial.folder import TrialFolder
from moedsr_platform.trial.full_disk import FULL, DiskFullError, is_full
from moedsr_platform.trial.worker import STEP, TrainFunction

FAILURE, UNSAVED = "failure", "unsaved"
"""Keys of the result of a trial that failed: the reason in one line; of one that ended because the disk is full."""


@dataclass(frozen=True, kw_only=True)
class TrialSpec:
    """What all trials of a sweep share. Travels to the trial's process.

    Attributes:
        base: the base configuration, as JSON.
        store: the prepared surface store.
        stores: where a sweep varies ``data.prepare``: settings as JSON, and the store made with them.
        folder: where the trials keep their checkpoints, one folder each, named by trial id.
        train: the training function; None for ``moedsr.train.train``.
    """

    base: str
    store: str
    folder: str
    objective: Objective
    resources: Resources
    train: TrainFunction | None = None
    stores: Mapping[str, str] = field(default_factory=dict)

    def config(self, params: dict[str, Any]) -> Config:
        """The complete configuration of the trial with these sampled values."""
        config = override(Config.model_validate_json(self.base), params)
        store = Path(self.stores.get(config.data.prepare.model_dump_json(), self.store))
        return config.model_copy(update={"data": config.data.model_copy(update={"store": store})})

    def trial_folder(self, trial_id: str) -> TrialFolder:
        """What the trial keeps on disk."""
        return TrialFolder(Path(self.folder) / trial_id, metric=self.objective.metric, mode=self.objective.mode)

    def task(self, params: dict[str, Any], trial_id: str) -> dict[str, Any]:
        """What ``run_training`` takes."""
        config = self.config(params)
        return {
            "config": config.model_dump_json(),
            "store": str(config.data.store),
            "folder": str(self.trial_folder(trial_id).path),
            "metric": self.objective.metric,
            "mode": self.objective.mode,
            "threads": self.resources.cpus_per_worker,
            "device": "cuda" if self.resources.gpus_per_worker else "cpu",
            "train": self.train,
        }


def trainable(spec: TrialSpec) -> Callable[[dict[str, Any]], None]:
    """The Tune function of a sweep, with the resources that Tune is to reserve for it, those of all workers at once.

    The trial trains in Tune's own process, the first worker, which the next trial uses again: torch is imported once.

    A trial that fails for its own reasons reports why and ends; the loss of a process or node is left to Tune, which
    starts the function again, and the trial goes on from the last checkpoint in its folder.
    """
    from ray import tune

    def trial(params: dict[str, Any]) -> None:
        try:
            _train(spec, params, tune.get_context().get_trial_id())
        except DiskFullError:
            tune.report({UNSAVED: True, STEP: 0})
        except (InputError, JobError) as error:
            tune.report({FAILURE: last_line(str(error)), STEP: 0})

    resources = spec.resources
    gpu = {"GPU": resources.gpus_per_worker} if resources.gpus_per_worker else {}
    worker = {"CPU": resources.cpus_per_worker, **gpu}
    return tune.with_resources(trial, tune.PlacementGroupFactory([worker] * resources.workers))


def _train(spec: TrialSpec, params: dict[str, Any], trial_id: str) -> None:
    """Train in this process.

    An error that nobody foresaw may have left the process in a bad state (a GPU that refuses all further work,
    memory that is not given back): it ends the process. Tune starts the trial once more, in a new one, and that
    only passes the reason on.
    """
    from ray import tune

    from moedsr_platform.trial.worker_group import worker_group

    folder = spec.trial_folder(trial_id)
    if folder.failure is not None:
        raise JobError(folder.failure)
    try:
        worker_group(spec.resources).train(spec.task(params, trial_id), tune.report, folder.fail)
    except (InputError, JobError):
        raise
    except Exception as error:
        if is_full(error, Path(spec.folder)):
            raise DiskFullError(FULL) from error
        folder.fail(named(error))
        raise
