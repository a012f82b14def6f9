"""A trial whose process is lost in any of Ray's ways is told as lost; the sweep goes on."""

import pickle
from types import SimpleNamespace

import pytest
from ray.air.execution import FixedResourceManager
from ray.air.execution._internal import RayActorManager
from ray.exceptions import (
    ActorDiedError,
    NodeDiedError,
    OutOfMemoryError,
    RayActorError,
    RayTaskError,
    WorkerCrashedError,
)

from moedsr_platform.cluster.lost_processes import at_hand, survive_losses


@pytest.mark.parametrize(
    "error",
    [ActorDiedError(), OutOfMemoryError("the node runs low\non memory"), NodeDiedError("gone"), WorkerCrashedError()],
)
def test_a_lost_process_is_an_event_of_its_trial(error: Exception) -> None:
    survive_losses()
    told: list[Exception] = []
    manager = RayActorManager(resource_manager=FixedResourceManager({"CPU": 1}))
    actor = SimpleNamespace(actor_id=1, _on_error=lambda actor, error: told.extend((error, at_hand())))
    manager._cleanup_actor = lambda tracked_actor: None
    manager._actor_task_failed(SimpleNamespace(_tracked_actor=actor, _on_error=None), error)
    heard, at_that_moment = told
    assert at_that_moment is heard
    assert at_hand() is None
    assert isinstance(heard, RayActorError)
    assert str(heard) == str(error).splitlines()[0]
    assert str(pickle.loads(pickle.dumps(heard))) == str(heard)
    assert manager._failed_actor_ids == {1}


def test_an_error_of_the_trial_itself_does_not_end_its_process() -> None:
    survive_losses()
    manager = RayActorManager(resource_manager=FixedResourceManager({"CPU": 1}))
    actor = SimpleNamespace(actor_id=1, _on_error=None)
    manager._actor_task_failed(
        SimpleNamespace(_tracked_actor=actor, _on_error=None), RayTaskError("train", "", ValueError("no"))
    )
    assert not manager._failed_actor_ids
