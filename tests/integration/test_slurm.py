"""cluster/slurm.sh with stand-ins for Slurm: what it starts, on which machine, and how it ends."""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "cluster" / "slurm.sh"

# each notes its call; srun runs what it is given here, where a real one would on another machine
STANDS_IN = {
    "srun": 'echo "srun $*" >>"$CALLS"\nwhile [[ $1 == --* ]]; do shift; done\nexec "$@"',
    "scontrol": "printf 'node-a\\nnode-b\\n'",
    "hostname": "echo 127.0.0.1 10.0.0.1",
    "ray": 'echo "ray $*" >>"$CALLS"\ncase "$*" in health-check*) exit 0;; *) exec sleep 600;; esac',
    "python": 'case "$1" in -c) echo t0ken;; *) cat >/dev/null; echo "waited for $3 machines";; esac',
    "moedsr": 'echo "moedsr $* mode=$RAY_AUTH_MODE token=$(cat "$RAY_AUTH_TOKEN_PATH")" >>"$CALLS"\n'
    "trap 'echo saved >>\"$CALLS\"; exit 1' TERM\n"
    '[ -z "${SLOW:-}" ] || for _ in {1..600}; do sleep 0.1; done\nexit "${CODE:-0}"',
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A repository with a virtual environment of stand-ins."""
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name, body in STANDS_IN.items():
        (programs / name).write_text(f"#!/usr/bin/env bash\n{body}\n")
        (programs / name).chmod(0o755)
    (tmp_path / "s.yaml").write_text("name: s\n")
    return tmp_path


def start(folder: Path, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
    own = {
        "PATH": f"{folder / '.venv' / 'bin'}:{os.environ['PATH']}",
        "CALLS": str(folder / "calls"),
        "SLURM_SUBMIT_DIR": str(folder),
        "SLURM_JOB_ID": "4711",
        "SLURM_JOB_NODELIST": "node-[a-b]",
        "SLURM_CPUS_PER_TASK": "32",
        "SLURM_GPUS_ON_NODE": "4",
        "MOEDSR_HOME": str(folder / "results"),
    }
    return subprocess.Popen(
        ["bash", str(SCRIPT), *arguments],
        env={**os.environ, **own, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def calls(folder: Path, program: str) -> list[str]:
    path = folder / "calls"
    lines = path.read_text().splitlines() if path.exists() else []
    return [line.removeprefix(f"{program} ") for line in lines if line.startswith(program)]


def test_the_script_is_sound() -> None:
    assert subprocess.run(["bash", "-n", str(SCRIPT)], check=False).returncode == 0
    if shutil.which("shellcheck"):
        done = subprocess.run(["shellcheck", str(SCRIPT)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_its_directives_are_ones_that_slurm_knows() -> None:
    known = {"job-name", "nodes", "ntasks-per-node", "gpus-per-node", "cpus-per-task", "mem", "time", "requeue"}
    found = re.findall(r"^#SBATCH --([a-z-]+)(?:=\S+)?$", SCRIPT.read_text(), re.MULTILINE)
    assert set(found) == known | {"open-mode", "signal"}
    assert len(found) == len(re.findall(r"^#SBATCH", SCRIPT.read_text(), re.MULTILINE))


def test_one_ray_node_a_machine_then_the_sweep_then_nothing(folder: Path) -> None:
    process = start(folder, "s.yaml", "--name", "t")
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "waited for 2 machines" in output
    started = {re.search(r"--nodelist=(\S+)", line)[1] for line in calls(folder, "srun") if "ray start" in line}
    assert started == {"node-a", "node-b"}
    head, worker = sorted(calls(folder, "ray start"), key=lambda line: "--head" not in line)
    assert "--head --node-ip-address=127.0.0.1 --port=24711 --dashboard-host=127.0.0.1" in head
    assert "--address=127.0.0.1:24711 --num-cpus=32 --num-gpus=4 --block" in worker
    assert calls(folder, "moedsr") == ["sweep s.yaml --address 127.0.0.1:24711 --name t mode=token token=t0ken"]
    assert not list((folder / "results").glob(".ray-token*"))


def test_the_sweeps_exit_code_is_the_jobs(folder: Path) -> None:
    process = start(folder, "s.yaml", CODE="1")
    process.communicate(timeout=60)
    assert process.returncode == 1


@pytest.mark.parametrize("known", [True, False])
def test_a_requeued_job_goes_on_where_there_is_something_to_go_on_with(folder: Path, known: bool) -> None:
    if known:
        (folder / "results" / "sweeps" / "s").mkdir(parents=True)
    start(folder, "s.yaml", SLURM_RESTART_COUNT="1").communicate(timeout=60)
    (line,) = calls(folder, "moedsr")
    assert ("--resume" in line) == known


def test_slurms_warning_reaches_the_sweep_which_saves_itself(folder: Path) -> None:
    process = start(folder, "s.yaml", SLOW="1")
    deadline = time.monotonic() + 60
    while not calls(folder, "moedsr"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 1
    assert calls(folder, "saved") == ["saved"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [((), "usage: sbatch cluster/slurm.sh FILE.yaml"), (("none.yaml",), "no sweep file none.yaml")],
)
def test_what_cannot_work_is_said(folder: Path, arguments: tuple[str, ...], line: str) -> None:
    process = start(folder, *arguments)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert line in errors
