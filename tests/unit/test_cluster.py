"""Which job this is."""

import json

import pytest

from moedsr_platform.cluster import JOB_VARIABLE, job_id


def test_the_job_that_started_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(JOB_VARIABLE, raising=False)
    assert job_id() is None
    monkeypatch.setenv(JOB_VARIABLE, json.dumps({"metadata": {"job_submission_id": "raysubmit_1"}, "runtime_env": {}}))
    assert job_id() == "raysubmit_1"
    monkeypatch.setenv(JOB_VARIABLE, json.dumps({"runtime_env": {}}))
    assert job_id() is None
