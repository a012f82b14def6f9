"""A sweep as a Ray job: what is uploaded, how it is started and followed."""

import asyncio
import os
import shlex
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moedsr.errors import InputError, InterruptedJobError, JobError

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

LIMIT = 100 * 1024**2
"""Bytes of a working directory that a cluster takes; Ray refuses more with status 413."""

EXCLUDES = (
    ".git", ".venv", "venv", "results", "stores", "mlruns", "mlartifacts", "build", "dist", "__pycache__",
    ".mypy_cache", ".ruff_cache", ".pytest_cache", "*.egg-info", "*.xtc.tmp",
)  # fmt: skip


def submit(file: Path, folder: Path, address: str, arguments: tuple[str, ...], echo: Callable[[str], None]) -> None:
    """Runs `moedsr sweep FILE` as a job on a cluster, follows its log, and ends as it ends.

    Args:
        file: the sweep file, inside the folder.
        folder: the checkout that is uploaded.
        address: ``http://host:8265`` of the cluster.
        arguments: further ones of `moedsr sweep`.
        echo: takes the log, piece by piece.

    Raises:
        InputError: file outside the folder, folder too large, no cluster there.
        JobError: the job failed or was stopped.
    """
    inside = _inside(file, folder)
    check_size(folder)
    client = _client(address)
    entrypoint = shlex.join(["python", "-m", "moedsr_platform.restarting", "sweep", inside.as_posix(), *arguments])
    job = client.submit_job(entrypoint=entrypoint, runtime_env=runtime_environment(folder))
    echo(f"job {job} at {address}: {entrypoint}\n")
    try:
        asyncio.run(_follow(client, job, echo))
    except KeyboardInterrupt as error:
        raise InterruptedJobError(
            f"no longer following job {job}, which goes on; see it: ray job logs --follow --address {address} {job}; "
            f"stop it: ray job stop --address {address} {job}",
            *error.args,
        ) from None
    status = client.get_job_status(job)
    if str(status) != "SUCCEEDED":
        raise JobError(f"job {job} ended as {status}; its log: ray job logs --address {address} {job}") from None


def runtime_environment(folder: Path) -> dict[str, Any]:
    """What the job's processes see: the checkout, with the platform's package found without installing."""
    passed = {
        key: os.environ[key] for key in ("MLFLOW_TRACKING_URI", "MOEDSR_HOME", "MOEDSR_CACHE") if key in os.environ
    }
    return {
        "working_dir": str(folder),
        "excludes": list(EXCLUDES),
        "env_vars": {"PYTHONPATH": "platform", **passed},
    }


def check_size(folder: Path) -> int:
    """Bytes that would be uploaded.

    Raises:
        InputError: more than a cluster takes, with the largest entries to exclude.
    """
    sizes: dict[str, int] = {}
    for path in _uploaded(folder):
        top = path.relative_to(folder).parts[0]
        sizes[top] = sizes.get(top, 0) + path.stat().st_size
    total = sum(sizes.values())
    if total > LIMIT:
        largest = sorted(sizes, key=lambda name: -sizes[name])[:3]
        names = ", ".join(f"{name} ({sizes[name] / 1024**2:.0f} MB)" for name in largest)
        raise InputError(
            f"{folder} has {total / 1024**2:.0f} MB to upload, but a cluster takes {LIMIT // 1024**2} MB: "
            f"move elsewhere or list in .rayignore: {names}"
        )
    return total


def _uploaded(folder: Path) -> Iterator[Path]:
    ignored = [*EXCLUDES]
    listed = folder / ".rayignore"
    if listed.is_file():
        ignored += [line.strip().strip("/") for line in listed.read_text(encoding="utf-8").splitlines() if line.strip()]
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not any(fnmatch(name, pattern) for pattern in ignored)]
        for name in files:
            path = Path(root) / name
            if not path.is_symlink() and not any(fnmatch(name, pattern) for pattern in ignored):
                yield path


def _inside(file: Path, folder: Path) -> Path:
    try:
        return file.resolve().relative_to(folder.resolve())
    except ValueError:
        raise InputError(
            f"{file} is not inside {folder}, which is all that the job will see; --working-dir names another folder"
        ) from None


def _client(address: str) -> "JobSubmissionClient":
    if not address.startswith(("http://", "https://")):  # Ray would take it for another port, and try for a minute
        raise InputError(f"--address is {address}, but must be a dashboard's, such as http://127.0.0.1:8265")
    try:
        from ray.job_submission import JobSubmissionClient

        return JobSubmissionClient(address)
    except ConnectionError:
        raise InputError(
            f"no Ray cluster takes jobs at {address}; start one with: ray start --head --dashboard-port 8265"
        ) from None
    except (ImportError, ModuleNotFoundError, RuntimeError, ValueError) as error:
        raise InputError(
            f"jobs cannot be sent to {address}: {str(error).splitlines()[0]}; they need: pip install 'moedsr[jobs]'"
        ) from None


async def _follow(client: "JobSubmissionClient", job: str, echo: Callable[[str], None]) -> None:
    async for text in client.tail_job_logs(job):
        echo(text)
