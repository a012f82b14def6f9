"""Processes of trials that are lost: what Ray's own loop would end a whole sweep for ends one attempt of one trial."""

from ray.air.execution._internal import actor_manager
from ray.exceptions import (
    ActorUnschedulableError,
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayActorError,
    WorkerCrashedError,
)

LOST = (RayActorError, OutOfMemoryError, WorkerCrashedError, NodeDiedError, ActorUnschedulableError, ObjectLostError)
"""How Ray says that a process is gone: by itself, ended by the memory monitor, or with its machine."""


def survive_losses() -> None:
    """Ray's manager of actors knows the first of these alone; any other it takes for a fault of its own, and raises."""
    actor_manager.RayActorError = LOST
