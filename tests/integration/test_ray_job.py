"""Jobs on a cluster of this machine: `ray job submit -- moedsr sweep FILE`, `moedsr submit`, a job that is stopped."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pytest
from ray_nodes import free_port

pytest.importorskip("aiohttp", reason="jobs need ray[default]")

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BIN = Path(sys.executable).parent
FAKE = """\
name: fake
base:
  data: {{source: {source}, prepare: {{frames: 4, surface_points: 300, grid_spacing: 1.0, occupancy_grid: 24}}}}
  training: {{steps: 40, report_every: 10, validate_every: 20}}
search:
  expert.count: {{grid: [8, 6]}}
sampler: grid
resources: {{workers: 1, cpus_per_worker: 1, concurrent_trials: 1}}
"""


@dataclass(frozen=True)
class Cluster:
    """A head node that takes jobs, and the checkout they are submitted from."""

    address: str
    home: Path
    uploads: Path
    checkout: Path
    environment: dict[str, str]

    @property
    def results(self) -> Path:
        """Where a job's results must go when nobody says where."""
        return self.home / "moedsr-results"

    def call(self, *command: str, timeout: float = 900) -> "subprocess.CompletedProcess[str]":
        """A command typed in the checkout."""
        line = [str(BIN / command[0]), *command[1:]]
        return subprocess.run(
            line, cwd=self.checkout, env=self.environment, capture_output=True, text=True, timeout=timeout
        )


@pytest.fixture(scope="module")
def cluster(
    tmp_path_factory: pytest.TempPathFactory,
    make_environment: Callable[[Path], dict[str, str]],
    copy_store: Callable[[Path], None],
    kill_tree: Callable[[Path], int],
) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    home, checkout = folder / "home", folder / "checkout"
    home.mkdir()
    for name in ("moedsr", "platform", "tests/integration"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / ".gitignore", checkout / ".gitignore")
    for name in (".venv", "results", "notes"):
        (checkout / name).mkdir()
        (checkout / name / "large.bin").write_bytes(bytes(1000))
    copy_store(home / "moedsr-results" / "mlflow.db")
    (checkout / ".rayignore").write_text("notes/\n", encoding="utf-8")
    environment = make_environment(folder) | {"HOME": str(home), "RAY_USAGE_STATS_ENABLED": "0"}
    environment["PATH"] = f"{BIN}{os.pathsep}{environment['PATH']}"
    for name in ("MOEDSR_HOME", "PYTHONPATH"):  # as on any cluster: the project is installed, nothing else is said
        del environment[name]
    # sockets lie below it, and a socket's path must stay under 108 characters
    temporary = Path(tempfile.mkdtemp(prefix="ray-"))
    ports = [free_port() for _ in range(6)]
    names = ("port", "dashboard-port", "ray-client-server-port", "dashboard-agent-listen-port",
             "dashboard-agent-grpc-port", "metrics-export-port")  # fmt: skip
    line = [str(BIN / "ray"), "start", "--head", "--block", "--num-cpus=2", f"--temp-dir={temporary}",
            "--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1", "--disable-usage-stats",
            *(f"--{name}={port}" for name, port in zip(names, ports, strict=True))]  # fmt: skip
    log = folder / "ray-start.log"
    with log.open("w") as file:
        head = subprocess.Popen(line, env=environment, cwd=folder, stdout=file, stderr=subprocess.STDOUT)
    try:
        address = f"http://127.0.0.1:{ports[1]}"
        wait_for(lambda: jobs_answer(address), 120, lambda: log.read_text())
        uploads = temporary / "session_latest" / "runtime_resources" / "working_dir_files"
        yield Cluster(address, home, uploads, checkout, environment)
    finally:
        kill_tree(folder)  # `ray stop` would end every cluster of this machine
        head.wait(20)
        shutil.rmtree(temporary, ignore_errors=True)


def jobs_answer(address: str) -> bool:
    from ray.job_submission import JobSubmissionClient

    try:
        return JobSubmissionClient(address).list_jobs() is not None
    except (ConnectionError, RuntimeError, OSError):
        return False


def wait_for(condition: Callable[[], bool], seconds: float, explain: Callable[[], str]) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, explain()
        time.sleep(0.3)


def check_runs(results: Path, runs: list[Any], name: str) -> None:
    """One parent and two children of this sweep; none twice; the best one registered."""
    (parent,) = [run for run in runs if run.info.run_name == name and run.data.tags["moedsr.kind"] == "sweep"]
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert sorted(run.data.params["expert.count"] for run in children) == ["2", "3"]
    assert {run.info.status for run in (parent, *children)} == {"FINISHED"}
    assert parent.data.tags["moedsr.ray_job_id"].startswith("raysubmit_")
    client = mlflow.MlflowClient(f"sqlite:///{results / 'mlflow.db'}")
    for run in children:
        points = client.get_metric_history(run.info.run_id, "train/loss")
        assert [point.step for point in points] == [1, 2, 3, 4, 5]
    assert parent.data.tags["moedsr.best_run"] in {version.run_id for version in client.search_model_versions()}
    best = client.get_model_version_by_alias("moe-dsr", "candidate")
    assert best.run_id == parent.data.tags["moedsr.best_run"]


def test_ray_job_submit_as_typed(
    cluster: Cluster, tiny_file: Callable[..., Path], runs_in: Callable[[Path], list[Any]]
) -> None:
    tiny_file(cluster.checkout / "sweeps" / "plain.yaml")
    line = ["ray", "job", "submit", "--address", cluster.address, "--working-dir", "."]
    done = cluster.call(*line, "--", "moedsr", "sweep", "sweeps/plain.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "succeeded" in done.stdout
    assert f"results go to {cluster.results}" in done.stdout
    assert f"  export MOEDSR_HOME={cluster.results}\n  moedsr ui\n" in done.stdout
    assert "Traceback" not in done.stdout
    runs = runs_in(cluster.results)
    assert len(runs) == 3
    check_runs(cluster.results, runs, "plain")
    (upload,) = [path for path in cluster.uploads.glob("_ray_pkg_*") if path.is_dir()]
    there = {path.name for path in upload.iterdir()}
    assert {"moedsr", "platform", "sweeps"} <= there
    assert not {".venv", "results", "notes", ".git"} & there


def test_moedsr_submit(cluster: Cluster, tiny_file: Callable[..., Path], runs_in: Callable[[Path], list[Any]]) -> None:
    tiny_file(cluster.checkout / "sweeps" / "ours.yaml")
    done = cluster.call("moedsr", "submit", "sweeps/ours.yaml", "--address", cluster.address)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "trial 2 of 2: COMPLETE" in done.stdout
    check_runs(cluster.results, runs_in(cluster.results), "ours")


@pytest.mark.slow
def test_a_stopped_job_goes_on_where_it_was(
    cluster: Cluster, source: Path, runs_in: Callable[[Path], list[Any]]
) -> None:
    (cluster.checkout / "sweeps").mkdir(exist_ok=True)
    (cluster.checkout / "sweeps" / "fake.yaml").write_text(FAKE.format(source=source), encoding="utf-8")
    log = cluster.home / "starts.txt"
    seen = {"PYTHONPATH": "platform:tests/integration", "FAKE_LOG": str(log)}
    command = ["python", "tests/integration/fake_training.py", "sweeps/fake.yaml"]

    def submit(*flags: str, job: str, seconds: str) -> list[str]:
        environment = json.dumps({"env_vars": {**seen, "FAKE_SECONDS": seconds}})
        line = ["ray", "job", "submit", "--address", cluster.address, "--working-dir", ".", "--submission-id", job]
        return [*line, "--runtime-env-json", environment, *flags, "--", *command]

    begun = cluster.call(*submit("--no-wait", job="first", seconds="0.4"))
    assert begun.returncode == 0, begun.stdout + begun.stderr

    def rows() -> list[dict[str, Any]]:
        path = cluster.results / "sweeps" / "fake" / "trials.json"
        return json.loads(path.read_text()) if path.exists() else []

    def explain() -> str:
        return cluster.call("ray", "job", "logs", "--address", cluster.address, "first").stdout

    # the first trial has ended, the second has validated once
    wait_for(lambda: [bool(row["best"]) for row in rows()] == [True, True], 600, explain)
    stopped = cluster.call("ray", "job", "stop", "--address", cluster.address, "first")
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr
    assert "was stopped" in stopped.stdout
    # Ray kills after three seconds what has not ended; by then all is said and written down
    assert [row["state"] for row in rows()] == ["COMPLETE", "WAITING"]
    assert "SIGTERM: saving 1 running trial. Go on with: ray job submit --working-dir . -- moedsr sweep" in explain()

    done = cluster.call(*submit(job="second", seconds="0.01"), "--resume")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [row["state"] for row in rows()] == ["COMPLETE", "COMPLETE"]
    first, second, third, *_ = log.read_text().split("\n")
    assert (first, second) == ("8 0 0", "6 0 0")
    assert third in ("6 0 20", "6 0 30")  # its last validation, or what it saved within the three seconds
    assert sum("fake" in run.data.tags["moedsr.sweep_id"] for run in runs_in(cluster.results)) == 3
