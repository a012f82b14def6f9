"""Which job this is, and a Ray that does not start."""

import json

import pytest

from moedsr.errors import InputError, JobError
from moedsr_platform import cluster
from moedsr_platform.cluster import JOB_VARIABLE, job_id


def test_the_job_that_started_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(JOB_VARIABLE, raising=False)
    assert job_id() is None
    monkeypatch.setenv(JOB_VARIABLE, json.dumps({"metadata": {"job_submission_id": "raysubmit_1"}, "runtime_env": {}}))
    assert job_id() == "raysubmit_1"
    monkeypatch.setenv(JOB_VARIABLE, json.dumps({"runtime_env": {}}))
    assert job_id() is None


@pytest.mark.parametrize(
    ("address", "error", "kind", "line"),
    [
        # as when a part of Ray is killed while the rest waits for it
        (
            "10.0.0.1:1",
            Exception("Timed out during startup.\nThis may"),
            JobError,
            "Ray did not start: Timed out during",
        ),
        (None, RuntimeError("no GCS."), JobError, r"Ray did not start: no GCS\. The same command tries again\.$"),
        ("10.0.0.1:1", ConnectionError("refused"), InputError, "no Ray cluster answers at 10.0.0.1:1: refused"),
    ],
)
def test_a_ray_that_does_not_start_or_answer_is_one_line(
    address: str | None, error: Exception, kind: type[Exception], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def init(address: str | None) -> None:
        raise error

    monkeypatch.setattr(cluster, "_QUIET", {})
    monkeypatch.setattr(cluster, "_silence", lambda: None)
    monkeypatch.setattr(cluster, "_init", init)
    monkeypatch.setenv("PYTHONPATH", "")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(kind, match=line) as caught:
        cluster.connect(address)
    assert "\n" not in str(caught.value)
