"""How many trials fit."""

import pytest
from pydantic import ValidationError

from moedsr.errors import InputError
from moedsr_platform.cluster.nodes import Node, concurrency, trials_at_once
from moedsr_platform.sweep_file.schema import Resources, Workers


def test_a_worker_does_not_straddle_nodes_and_a_trial_may() -> None:
    nodes = [Node(cpus=3, gpus=0), Node(cpus=3, gpus=0)]
    assert trials_at_once(Resources(workers=Workers(min=1, max=1), cpus_per_worker=2), nodes) == 2
    assert trials_at_once(Resources(workers=Workers(min=2, max=2), cpus_per_worker=2), nodes) == 1
    assert trials_at_once(Resources(workers=Workers(min=1, max=1), cpus_per_worker=4), nodes) == 0


def test_a_trial_that_may_have_fewer_workers_starts_with_fewer() -> None:
    resources = Resources(workers=Workers(min=2, max=4))
    assert [trials_at_once(resources, [Node(cpus=cpus, gpus=0)]) for cpus in (1, 2, 3, 4, 9)] == [0, 1, 1, 1, 2]


def test_gpus_bound_the_workers_too() -> None:
    resources = Resources(workers=Workers(min=4, max=4), cpus_per_worker=8, gpus_per_worker=1)
    assert trials_at_once(resources, [Node(cpus=48, gpus=4), Node(cpus=48, gpus=4)]) == 2
    assert trials_at_once(resources, [Node(cpus=16, gpus=4)]) == 0


def test_as_many_as_fit_and_no_more_than_the_file_says() -> None:
    assert concurrency(Resources(), [Node(cpus=4, gpus=0)]) == 4
    assert concurrency(Resources(concurrent_trials=3), [Node(cpus=4, gpus=0)]) == 3
    with pytest.raises(InputError, match="a trial needs 1 worker with 5 CPU and 0 GPU each, but the cluster has 4 CPU"):
        concurrency(Resources(cpus_per_worker=5), [Node(cpus=4, gpus=0)])


@pytest.mark.parametrize(
    ("share", "gpus", "trials"),
    [(0.25, 1, 4), (0.1, 1, 10), (0.3, 1, 3), (0.6, 2, 2), (0.5, 4, 8), (1, 4, 4), (2, 5, 2)],
)
def test_a_fraction_is_of_one_gpu(share: float, gpus: int, trials: int) -> None:
    assert trials_at_once(Resources(gpus_per_worker=share), [Node(cpus=64, gpus=gpus)]) == trials


def test_a_worker_takes_a_fraction_or_whole_gpus() -> None:
    with pytest.raises(ValidationError, match=r"is 1\.5, but must be a fraction of one GPU or a whole number"):
        Resources(gpus_per_worker=1.5)


def test_a_trial_may_wait_for_machines_that_the_cluster_starts_when_they_are_needed() -> None:
    resources = Resources(workers=Workers(min=4, max=4), gpus_per_worker=1, cpus_per_worker=8)
    head, grown = [Node(cpus=8, gpus=0)], [Node(cpus=48, gpus=4)] * 3
    assert concurrency(resources, head, grown) == 3
    with pytest.raises(InputError, match=r"it can never start; if the cluster starts .* say so in resources\.grows_to"):
        concurrency(resources, head)
    with pytest.raises(
        InputError, match="has 8 CPU and 0 GPU on 1 node and can grow to 4 CPU and 0 GPU on 1 node: it can"
    ):
        concurrency(resources, head, [Node(cpus=4, gpus=0)])
