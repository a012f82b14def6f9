"""Processes of trials that are lost: what Ray's own loop would end a whole sweep for ends one attempt of one trial."""

from typing import Any

from ray.exceptions import (
    ActorUnschedulableError,
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayActorError,
    WorkerCrashedError,
)

from moedsr_platform.cluster.ray_internals import TASK_FAILED, ActorManager

LOST = (RayActorError, OutOfMemoryError, WorkerCrashedError, NodeDiedError, ActorUnschedulableError, ObjectLostError)
"""How Ray says that a process is gone: by itself, ended by the memory monitor, or with its machine."""


def survive_losses() -> None:
    """Tune and Ray's manager of actors know the first of these alone; any other they take for a fault of their own."""
    setattr(ActorManager, TASK_FAILED, _as_actor_error)


def at_hand() -> Exception | None:
    """What is being told to Tune at this moment; Tune itself lets its callbacks know later."""
    return _AT_HAND[-1] if _AT_HAND else None


_AT_HAND: list[Exception] = []
_KNOWN = getattr(ActorManager, TASK_FAILED)


def _as_actor_error(self: ActorManager, tracked_actor_task: Any, exception: Exception) -> None:
    if isinstance(exception, LOST) and not isinstance(exception, RayActorError):
        exception = RayActorError(error_msg=str(exception).partition("\n")[0])
    _AT_HAND.append(exception)
    try:
        _KNOWN(self, tracked_actor_task, exception)
    finally:
        _AT_HAND.pop()
