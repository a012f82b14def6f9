"""Which job this is, a Ray that does not start, and one that does not let go."""

import json
import os
import signal
import subprocess
import sys
import threading

import pytest

from moedsr.errors import InputError, JobError
from moedsr_platform.cluster import connection as cluster
from moedsr_platform.cluster.connection import JOB_VARIABLE, job_id


def test_the_job_that_started_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(JOB_VARIABLE, raising=False)
    assert job_id() is None
    monkeypatch.setenv(JOB_VARIABLE, json.dumps({"metadata": {"job_submission_id": "raysubmit_1"}, "runtime_env": {}}))
    assert job_id() == "raysubmit_1"
    monkeypatch.setenv(JOB_VARIABLE, json.dumps({"runtime_env": {}}))
    assert job_id() is None


def test_a_ray_that_does_not_let_go_is_waited_for_once_and_not_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    asked, gone = [], threading.Event()
    monkeypatch.setattr(ray, "shutdown", lambda: asked.append(1) or gone.wait(60))
    for _ in range(2):
        cluster.leave(0.01)
    assert asked == [1]
    gone.set()
    assert cluster._farewell is not None
    cluster._farewell.join()
    monkeypatch.setattr(ray, "shutdown", lambda: 1 / 0)  # what is said of parts that are gone interests nobody
    cluster.leave(60)


def test_sigterm_while_ray_starts_is_heard_by_whoever_hears_it_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray takes the signal then, and leaves without a word."""

    class HeardError(Exception):
        pass

    def hear(*arguments: object) -> None:
        raise HeardError

    def init(address: str | None) -> None:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(signal.SIGTERM))
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(cluster, "_init", init)
    before = signal.signal(signal.SIGTERM, hear)
    try:
        with pytest.raises(HeardError):
            cluster.connect(None)
        assert signal.getsignal(signal.SIGTERM) is hear
    finally:
        signal.signal(signal.SIGTERM, before)


def test_ray_says_nothing_of_lost_workers_that_a_trial_says_itself() -> None:
    """The filter is applied by Ray to what its raylet says; all else gets through."""
    program = (
        "from moedsr_platform.cluster import connection as cluster\n"
        "cluster._init = lambda address: exit(print_all())\n"
        "def print_all():\n"
        "    from ray._private.worker import print_to_stdstream\n"
        "    lines = ['A worker died or was killed while executing a task by an unexpected system error.\\nTo',\n"
        "        'Raylet is terminated. Termination is unexpected.', '3 Workers (tasks / actors) killed due to memory "
        "pressure (OOM)', 'The node with node id: 1 has been marked dead', 'what nobody foresaw']\n"
        "    print_to_stdstream({'lines': lines, 'pid': 'raylet', 'is_err': False}, ignore_prefix=False)\n"
        "cluster.connect(None)\n"
    )
    own = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    done = subprocess.run([sys.executable, "-c", program], env=own, capture_output=True, text=True)
    assert done.stdout.count("(raylet)") == 1, done
    assert "what nobody foresaw" in done.stdout


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
