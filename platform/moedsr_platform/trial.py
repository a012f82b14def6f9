"""One trial: a Tune function that runs a Ray Train job with the sampled values."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moedsr.config import Config
from moedsr.errors import InputError
from moedsr_platform.search_space import override
from moedsr_platform.sweep_file import Objective, Resources
from moedsr_platform.worker import STEP, TrainFunction, training_worker

FAILURE = "failure"
"""Key of the result of a trial that failed: the reason in one line."""


@dataclass(frozen=True, kw_only=True)
class TrialSpec:
    """What all trials of a sweep share. Travels to the trial's process.

    Attributes:
        base: the base configuration, as JSON.
        store: the prepared surface store.
        folder: where the trials keep their checkpoints, one folder each, named by trial id.
        train: the training function; None for ``moedsr.training.train``.
    """

    base: str
    store: str
    folder: str
    objective: Objective
    resources: Resources
    train: TrainFunction | None = None

    def config(self, params: dict[str, Any]) -> Config:
        """The complete configuration of the trial with these sampled values."""
        return override(Config.model_validate_json(self.base), params)


def trainable(spec: TrialSpec) -> Callable[[dict[str, Any]], None]:
    """The Tune function of a sweep.

    It holds no CPU itself: a driver with one CPU would leave none for its own workers. A trial that fails
    reports why and ends; only the loss of its process or node is left to Tune, which then starts the function
    again, and the job inside finds its last checkpoint by the trial's id.
    """

    def trial(params: dict[str, Any]) -> None:
        from ray import tune
        from ray.train import TrainingFailedError

        try:
            _fit(spec, params, tune.get_context().get_trial_id())
        except (InputError, TrainingFailedError) as error:
            tune.report({FAILURE: reason_of(error), STEP: 0})

    return trial


def _fit(spec: TrialSpec, params: dict[str, Any], trial_id: str) -> None:
    import ray.train
    from ray.train.torch import TorchConfig, TorchTrainer
    from ray.tune.integration.ray_train import TuneReportCallback

    resources = spec.resources
    on_gpu = resources.gpus_per_worker > 0
    per_worker: dict[str, float] = {"CPU": resources.cpus_per_worker}
    if on_gpu:
        per_worker["GPU"] = resources.gpus_per_worker
    TorchTrainer(
        training_worker,
        train_loop_config={
            "config": spec.config(params).model_dump_json(),
            "store": spec.store,
            "threads": resources.cpus_per_worker,
            "device": "cuda" if on_gpu else "cpu",
            "stop_file": str(stop_file(spec.folder, trial_id)),
            "train": spec.train,
        },
        torch_config=TorchConfig(backend="nccl" if on_gpu else "gloo"),
        scaling_config=ray.train.ScalingConfig(
            num_workers=resources.workers, use_gpu=on_gpu, resources_per_worker=per_worker
        ),
        run_config=ray.train.RunConfig(
            name=trial_id,
            storage_path=spec.folder,
            callbacks=[TuneReportCallback()],
            checkpoint_config=ray.train.CheckpointConfig(
                num_to_keep=2,  # the best one, and the last one to go on from
                checkpoint_score_attribute=spec.objective.metric,
                checkpoint_score_order=spec.objective.mode,
            ),
            failure_config=ray.train.FailureConfig(
                max_failures=resources.worker_restarts,
                controller_failure_limit=2,  # unlimited by default: it would wait for ever for a lost node
            ),
        ),
    ).fit()


def stop_file(folder: str, trial_id: str) -> Path:
    """A trial whose stop file exists ends at its next report. On shared storage, as checkpoints are."""
    return Path(folder) / f"{trial_id}.stop"


def reason_of(error: BaseException) -> str:
    """The cause behind Ray's wrappers in one line: which worker, which exception, where."""
    failures: dict[int, BaseException] = getattr(error, "worker_failures", {})
    if not failures:
        return _last_line(str(error))
    rank, cause = min(failures.items())
    while True:
        inner = getattr(cause, "_base_exc", None) or getattr(cause, "cause", None) or cause.__cause__
        if not isinstance(inner, BaseException) or inner is cause:
            break
        cause = inner
    return f"worker {rank}: {type(cause).__name__}: {_last_line(str(cause))}"


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no reason given"
