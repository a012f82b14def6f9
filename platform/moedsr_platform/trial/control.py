"""What the driver and the workers of its trials tell each other while a trial trains, past its reports.

A small actor beside the driver holds it: workers may be on machines that share no folder with it.
"""

from dataclasses import dataclass
from typing import Any, Literal

Request = Literal["stop", "pause", "superseded"]
"""End at the next report: for good, to be resumed later, or because the trial was started again elsewhere."""


@dataclass(frozen=True)
class Failure:
    """Why a trial failed by itself.

    Attributes:
        reason: in one line.
        traceback: where it raised; empty if it did not.
        unsaved: whether it could not save itself because the disk is full, which is no fault of the trial.
    """

    reason: str
    traceback: str = ""
    unsaved: bool = False


class TrialControl:
    """Requests of the driver, and failures that a worker tells before its process ends. The actor's class."""

    def __init__(self) -> None:
        self._attempts: dict[str, str] = {}
        self._requests: dict[str, Request] = {}
        self._failures: dict[str, Failure] = {}

    def begin(self, trial_id: str, attempt: str) -> Failure | None:
        """A process begins or resumes a trial, which was paused no longer; says if the trial has failed already."""
        self._attempts[trial_id] = attempt
        if self._requests.get(trial_id) == "pause":
            del self._requests[trial_id]
        return self._failures.get(trial_id)

    def ask(self, trial_id: str, request: Request) -> None:
        """The driver asks a trial to end at its next report; one that is stopped for good stays so."""
        if self._requests.get(trial_id) != "stop":
            self._requests[trial_id] = request

    def request(self, trial_id: str, attempt: str) -> Request | None:
        """What is asked of a trial; a worker asks before each report."""
        if self._attempts.setdefault(trial_id, attempt) != attempt:
            return "superseded"
        return self._requests.get(trial_id)

    def fail(self, trial_id: str, failure: Failure) -> None:
        """A worker failed by itself; the first cause counts, since others fail for want of it."""
        self._failures.setdefault(trial_id, failure)

    def failure(self, trial_id: str) -> Failure | None:
        """Why the trial failed, if a worker told."""
        return self._failures.get(trial_id)


def start_control() -> Any:
    """The actor, on the driver's machine; it starts in the background and ends with the driver."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return (
        ray.remote(TrialControl)
        .options(num_cpus=0, max_restarts=-1, max_task_retries=-1, scheduling_strategy=here)
        .remote()
    )
