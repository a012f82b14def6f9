"""One trial: a Tune function that trains with the sampled values, itself or as a Ray Train run."""

import contextlib
import json
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from moedsr.config import Config
from moedsr_platform.sweep_file.schema import Objective, Resources
from moedsr_platform.sweep_file.search_space import override
from moedsr_platform.trial.control import Failure
from moedsr_platform.trial.failure_reason import reason_of
from moedsr_platform.trial.loop import BEST, Task, TrainFunction, TrainRun, TuneRun, run_worker
from moedsr_platform.trial.report import FAILURE, STEP, TRACEBACK, UNSAVED
from moedsr_platform.trial.storage import TrialStorage, is_remote

PARAMS, GROUP = "params", "group"
"""Keys of a trial's configuration in Tune: the sampled values, and the mark of its placement group."""

MARKED_BYTES = 2**20
"""Memory that each worker of a Ray Train run reserves, to which the trial's mark is added: see ``placement_groups``."""

WORKER_START_SECONDS = 600
"""How long workers may take to start before they are asked for anew, perhaps on a machine that is yet to come."""
ELASTIC_START_SECONDS = 60
"""The same for workers that follow the machines: Ray counts on a dead one for so long."""
START_ATTEMPTS = 100
"""How often workers that cannot start are asked for; Ray itself would do so for ever."""

COLLECTIVE_SECONDS = 1800
"""For the slowest worker, in one collective operation."""


@dataclass(frozen=True, kw_only=True)
class TrialSpec:
    """What all trials of a sweep share. Travels to the trial's process.

    Attributes:
        base: the base configuration, as JSON.
        store: the prepared surface store.
        stores: where a sweep varies ``data.prepare``: settings as JSON, and the store made with them.
        storage: where the trials keep their checkpoints, one folder each, named by trial id.
        control: handle of the ``TrialControl`` actor.
        dashboard: whether the cluster's dashboard is there to list Ray Train runs.
        train: the training function; None for ``moedsr.train.train``.
    """

    base: str
    store: str
    storage: str
    objective: Objective
    resources: Resources
    control: Any = None
    dashboard: bool = False
    train: TrainFunction | None = None
    stores: Mapping[str, str] = field(default_factory=dict)

    def config(self, params: dict[str, Any]) -> Config:
        """The complete configuration of the trial with these sampled values."""
        config = override(Config.model_validate_json(self.base), params)
        store = Path(self.stores.get(config.data.prepare.model_dump_json(), self.store))
        return config.model_copy(update={"data": config.data.model_copy(update={"store": store})})

    def task(self, params: dict[str, Any], trial_id: str) -> Task:
        """What its workers take."""
        config = self.config(params)
        return Task(
            config=config.model_dump_json(),
            store=str(config.data.store),
            storage=TrialStorage(self.storage, trial_id),
            metric=self.objective.metric,
            mode=self.objective.mode,
            threads=self.resources.cpus_per_worker,
            control=self.control,
            attempt=secrets.token_hex(8),
            train=self.train,
        )


def trainable(spec: TrialSpec) -> Callable[[dict[str, Any]], None]:
    """The Tune function of a sweep, with the resources that Tune is to reserve for it.

    A trial of one worker on a CPU trains in Tune's own process, which the next trial uses again. Any other trial is a
    Ray Train run, which reserves the resources of its workers itself. Its Tune process takes no CPU: Tune and the
    workers would wait for each other.

    A trial that fails for its own reasons reports why and ends. What is lost is started again: a worker by Ray Train,
    the process of this function or Ray Train's controller by Tune.
    """
    from ray import tune

    def trial(given: dict[str, Any]) -> None:
        task = spec.task(given[PARAMS], tune.get_context().get_trial_id())
        failure = task.ask("begin", task.attempt)
        if failure is None:
            if uses_ray_train(spec.resources):
                failure = _fit(spec, task, given[GROUP]) or task.ask("failure")
            else:
                run_worker(task, TuneRun(task.storage))
                failure = task.ask("failure")
        if failure is not None:
            kind = {UNSAVED: True} if failure.unsaved else {FAILURE: failure.reason, TRACEBACK: failure.traceback}
            tune.report({**kind, STEP: 0})

    alone = {"CPU": spec.resources.cpus_per_worker}
    nothing = {"memory": 1}  # Tune refuses a trial that needs nothing at all
    return tune.with_resources(trial, nothing if uses_ray_train(spec.resources) else alone)


def uses_ray_train(resources: Resources) -> bool:
    """Whether a trial is a Ray Train run: it has a GPU, or more than one worker."""
    return resources.gpus_per_worker > 0 or resources.workers.max > 1


def _fit(spec: TrialSpec, task: Task, mark: int) -> Failure | None:
    """The trial as a Ray Train run, to its end.

    Returns:
        why it failed for good, where no worker told.
    """
    resources = spec.resources
    elastic = resources.workers.min < resources.workers.max
    os.environ |= {
        "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.1",  # each report waits for it; Ray's 2 s are felt by short trials
        "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": str(ELASTIC_START_SECONDS if elastic else WORKER_START_SECONDS),
        "RAY_TRAIN_ENABLE_STATE_TRACKING": "1" if spec.dashboard else "0",
        "RAY_TRAIN_METRICS_ENABLED": "1" if spec.dashboard else "0",
    }
    from ray import train
    from ray.train.torch import TorchConfig, TorchTrainer
    from ray.tune.integration.ray_train import TuneReportCallback

    _discard_torn_snapshot(task.storage)
    worker: dict[str, float] = {"CPU": resources.cpus_per_worker, "memory": MARKED_BYTES + mark}
    if resources.gpus_per_worker:
        worker["GPU"] = resources.gpus_per_worker
    path = task.storage.path.removesuffix(f"/{task.trial_id}")
    trainer = TorchTrainer(
        _train_worker,
        train_loop_config={"task": task},
        scaling_config=train.ScalingConfig(
            num_workers=(resources.workers.min, resources.workers.max) if elastic else resources.workers.max,
            use_gpu=resources.gpus_per_worker > 0,
            resources_per_worker=worker,
            elastic_resize_monitor_interval_s=resources.resize_seconds,
        ),
        run_config=train.RunConfig(
            name=task.trial_id,  # by which it finds its own checkpoints again, and the dashboard lists it
            storage_path=path,
            storage_filesystem=task.storage.filesystem if is_remote(spec.storage) else None,
            checkpoint_config=train.CheckpointConfig(num_to_keep=1, checkpoint_score_attribute=BEST),
            failure_config=train.FailureConfig(
                max_failures=resources.worker_restarts, controller_failure_limit=START_ATTEMPTS
            ),
            callbacks=[TuneReportCallback()],
        ),
        torch_config=TorchConfig(backend=backend_of(resources), timeout_s=COLLECTIVE_SECONDS),
    )
    try:
        trainer.fit()
    except train.TrainingFailedError as error:  # after all of Ray Train's attempts
        return Failure(reason_of(error))
    return None


def _train_worker(config: dict[str, Any]) -> None:
    """What Ray Train runs in each worker."""
    task: Task = config["task"]
    run_worker(task, TrainRun(task.storage))


def backend_of(resources: Resources) -> str:
    """What connects the workers: NCCL refuses two on one GPU, which is where those with a part of one may be."""
    from torch.distributed import is_nccl_available

    return "nccl" if resources.gpus_per_worker >= 1 and is_nccl_available() else "gloo"


def _discard_torn_snapshot(storage: TrialStorage) -> None:
    """Ray Train's list of its checkpoints, if a process that was killed left half of it: it would refuse to start."""
    if is_remote(storage.url):  # there a file appears whole
        return
    snapshot = Path(storage.path) / "checkpoint_manager_snapshot.json"
    with contextlib.suppress(FileNotFoundError):
        try:
            json.loads(snapshot.read_text(encoding="utf-8"))
        except ValueError:
            snapshot.unlink()
