"""One trial: a Tune function that trains with the sampled values, in its own process or in a Ray Train job."""

import gc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from moedsr.config import Config
from moedsr.errors import InputError, JobError
from moedsr_platform.full_disk import FULL, DiskFullError, is_full
from moedsr_platform.search_space import override
from moedsr_platform.sweep_file import Objective, Resources
from moedsr_platform.trial_folder import TrialFolder
from moedsr_platform.worker import STEP, TrainFunction, run_training

FAILURE, UNSAVED = "failure", "unsaved"
"""Keys of the result of a trial that failed: the reason in one line; of one that ended because the disk is full."""


WAITS = 160
"""How often the workers of a trial may find no room within 180 s (see cluster.py): 8 hours in all."""


@dataclass(frozen=True, kw_only=True)
class TrialSpec:
    """What all trials of a sweep share. Travels to the trial's process.

    Attributes:
        base: the base configuration, as JSON.
        store: the prepared surface store.
        stops_early: whether a rule may stop trials.
        stores: where a sweep varies ``data.prepare``: settings as JSON, and the store made with them.
        folder: where the trials keep their checkpoints, one folder each, named by trial id.
        train: the training function; None for ``moedsr.training.train``.
    """

    base: str
    store: str
    folder: str
    objective: Objective
    resources: Resources
    stops_early: bool = False
    train: TrainFunction | None = None
    stores: Mapping[str, str] = field(default_factory=dict)

    def config(self, params: dict[str, Any]) -> Config:
        """The complete configuration of the trial with these sampled values."""
        config = override(Config.model_validate_json(self.base), params)
        store = Path(self.stores.get(config.data.prepare.model_dump_json(), self.store))
        return config.model_copy(update={"data": config.data.model_copy(update={"store": store})})

    @property
    def alone(self) -> bool:
        """Whether a trial has one worker, and trains in the process that Tune starts for it."""
        return self.resources.workers == 1

    @property
    def restarts(self) -> int:
        """How often Tune starts a trial again whose process was lost; a Ray Train job restarts its workers itself."""
        return self.resources.worker_restarts

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
            "waits": self.stops_early and not self.alone,
            "train": self.train,
        }


def trainable(spec: TrialSpec) -> Callable[[dict[str, Any]], None]:
    """The Tune function of a sweep, with the resources that Tune is to reserve for it.

    With one worker the trial trains in Tune's own process, which the next trial uses again: torch is imported
    once. With more, the function only drives a Ray Train job; it holds no CPU itself, since a driver with one
    CPU would leave none for its own workers.

    A trial that fails for its own reasons reports why and ends; the loss of its process or node is left to Tune,
    which starts the function again, and the trial goes on from the last checkpoint in its folder.
    """
    from ray import tune

    def trial(params: dict[str, Any]) -> None:
        trial_id = tune.get_context().get_trial_id()
        try:
            (_train_here if spec.alone else _train_in_workers)(spec, params, trial_id)
        except DiskFullError:
            tune.report({UNSAVED: True, STEP: 0})
        except (InputError, JobError) as error:
            tune.report({FAILURE: _last_line(str(error)), STEP: 0})

    # Tune refuses a trial that takes nothing at all
    return tune.with_resources(trial, _per_worker(spec.resources) if spec.alone else {"cpu": 0, "memory": 1})


def _train_here(spec: TrialSpec, params: dict[str, Any], trial_id: str) -> None:
    """Train in this process.

    An error that nobody foresaw may have left the process in a bad state (a GPU that refuses all further work,
    memory that is not given back): it ends the process. Tune starts the trial once more, in a new one, and that
    only passes the reason on.
    """
    from ray import tune

    folder = spec.trial_folder(trial_id)
    if folder.failure is not None:
        raise JobError(folder.failure)
    gc.collect()  # what the trial before left in cycles
    try:
        run_training(spec.task(params, trial_id), tune.report)
    except (InputError, JobError):
        raise
    except Exception as error:
        if is_full(error, Path(spec.folder)):
            raise DiskFullError(FULL) from error
        folder.fail(_named(error))
        raise


def _train_in_workers(spec: TrialSpec, params: dict[str, Any], trial_id: str) -> None:
    """Train in a Ray Train job.

    Raises:
        JobError: it failed, and why.
    """
    import ray.train
    from ray.train.torch import TorchConfig, TorchTrainer
    from ray.tune.integration.ray_train import TuneReportCallback
    from torch.distributed import is_nccl_available

    resources = spec.resources
    on_gpu = resources.gpus_per_worker > 0
    trainer = TorchTrainer(
        training_worker,
        train_loop_config=spec.task(params, trial_id),
        torch_config=TorchConfig(backend="nccl" if on_gpu and is_nccl_available() else "gloo"),
        scaling_config=ray.train.ScalingConfig(
            num_workers=resources.workers, use_gpu=on_gpu, resources_per_worker=_per_worker(resources)
        ),
        run_config=ray.train.RunConfig(
            name=trial_id,
            storage_path=str(Path(spec.folder) / "ray"),
            callbacks=[TuneReportCallback()],
            failure_config=ray.train.FailureConfig(
                max_failures=resources.worker_restarts,
                controller_failure_limit=WAITS,  # unlimited by default: it would wait for ever for a lost node
            ),
        ),
    )
    try:
        trainer.fit()
    except ray.train.TrainingFailedError as error:
        reason = reason_of(error)
        raise (DiskFullError(FULL) if is_full(reason, Path(spec.folder)) else JobError(reason)) from None


def training_worker(task: dict[str, Any]) -> None:
    """One worker of several of a trial."""
    import ray.train

    ray.train.report({STEP: 0})  # until now the trial waited for its workers
    run_training(task, ray.train.report)


def _per_worker(resources: Resources) -> dict[str, float]:
    gpu = {"GPU": resources.gpus_per_worker} if resources.gpus_per_worker else {}
    return {"CPU": resources.cpus_per_worker, **gpu}


def reason_of(error: BaseException | None) -> str:
    """The cause behind Ray's wrappers in one line: which worker, which exception, where."""
    from moedsr_platform.lost_processes import LOST

    failures: dict[int, BaseException] = getattr(error, "worker_failures", {})
    worker, cause = min(failures.items()) if failures else (None, error)
    while cause is not None:
        inner = getattr(cause, "_base_exc", None) or getattr(cause, "cause", None) or cause.__cause__
        if not isinstance(inner, BaseException) or inner is cause:
            break
        cause = inner
    if cause is None or isinstance(cause, LOST):
        memory = " because its machine ran out of memory" if "low on memory" in str(cause) else ""
        return f"its process was lost{memory or ' again and again: killed, out of memory, or its machine went away'}"
    return f"{'' if worker is None else f'worker {worker}: '}{_named(cause)}"


def _named(error: BaseException) -> str:
    """An error with its kind, in one line."""
    line = _last_line(str(error))
    if isinstance(error, InputError | JobError):
        return line
    # torch's own error on a GPU is of this name; on a CPU it is any RuntimeError
    full = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return f"{'out of memory' if full or _NO_MEMORY in line else type(error).__name__}: {line}"


_NO_MEMORY = "can't allocate memory"


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no reason given"
