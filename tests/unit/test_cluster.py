"""How many trials fit, and which job this is."""

import json

import pytest

from moedsr.errors import InputError
from moedsr_platform.cluster import JOB_VARIABLE, Node, concurrency, job_id, trials_at_once
from moedsr_platform.sweep_file import Resources


def test_a_worker_does_not_straddle_nodes_and_a_trial_may() -> None:
    nodes = [Node(cpus=3, gpus=0), Node(cpus=3, gpus=0)]
    assert trials_at_once(Resources(workers=1, cpus_per_worker=2), nodes) == 2
    assert trials_at_once(Resources(workers=2, cpus_per_worker=2), nodes) == 1
    assert trials_at_once(Resources(workers=1, cpus_per_worker=4), nodes) == 0


def test_gpus_bound_the_workers_too() -> None:
    resources = Resources(workers=4, cpus_per_worker=8, gpus_per_worker=1)
    assert trials_at_once(resources, [Node(cpus=48, gpus=4), Node(cpus=48, gpus=4)]) == 2
    assert trials_at_once(resources, [Node(cpus=16, gpus=4)]) == 0


def test_as_many_as_fit_and_no_more_than_the_file_says() -> None:
    assert concurrency(Resources(), [Node(cpus=4, gpus=0)]) == 4
    assert concurrency(Resources(concurrent_trials=3), [Node(cpus=4, gpus=0)]) == 3
    with pytest.raises(InputError, match="a trial needs 1 worker with 5 CPU and 0 GPU each, but the cluster has 4 CPU"):
        concurrency(Resources(cpus_per_worker=5), [Node(cpus=4, gpus=0)])


def test_the_job_that_started_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(JOB_VARIABLE, raising=False)
    assert job_id() is None
    monkeypatch.setenv(JOB_VARIABLE, json.dumps({"metadata": {"job_submission_id": "raysubmit_1"}, "runtime_env": {}}))
    assert job_id() == "raysubmit_1"
    monkeypatch.setenv(JOB_VARIABLE, json.dumps({"runtime_env": {}}))
    assert job_id() is None
