"""Names that Ray keeps to itself are as we use them. Where one fails, look at what uses it before anything else."""

import inspect

from moedsr_platform.cluster.ray_internals import TASK_FAILED, ActorManager, create_trial


def test_a_trial_can_be_made_under_an_id_of_our_own() -> None:
    """Used by sweep/trial_source.py; ``trial_id`` goes through to ``ray.tune.experiment.Trial``."""
    from ray.tune.experiment import Trial

    parameters = inspect.signature(create_trial).parameters
    assert list(parameters)[:2] == ["spec", "parser"]
    assert parameters["trial_kwargs"].kind is inspect.Parameter.VAR_KEYWORD
    assert {"trial_id", "evaluated_params", "experiment_tag"} <= inspect.signature(Trial.__init__).parameters.keys()


def test_losses_are_told_where_they_are_caught() -> None:
    """Used by cluster/lost_processes.py."""
    method = getattr(ActorManager, TASK_FAILED)
    assert list(inspect.signature(method).parameters) == ["self", "tracked_actor_task", "exception"]
