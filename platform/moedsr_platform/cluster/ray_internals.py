"""All names that we use of Ray and that Ray keeps to itself, as they are in 2.60.

A new version may change them: ``tests/unit/test_ray_internals.py`` says which one to look at.

``create_trial``: a trial under an id of our own. Tune gives random ids, by which a resumed sweep could not know its
trials again, and offers no way to name them.

``ActorManager``, ``TASK_FAILED``: where Tune hears that a process is lost. It knows one kind of loss, and ends the
whole sweep for the others (``lost_processes``).
"""

from ray.air.execution._internal import RayActorManager as ActorManager
from ray.tune.experiment.config_parser import _create_trial_from_spec as create_trial

TASK_FAILED = "_actor_task_failed"
"""Method of ``ActorManager``: takes a task and the exception that it failed with."""

__all__ = ["TASK_FAILED", "ActorManager", "create_trial"]
