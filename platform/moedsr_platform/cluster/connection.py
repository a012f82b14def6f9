"""The Ray cluster: connecting to it quietly, and what it has."""

import contextlib
import json
import logging
import os
import signal
import subprocess
import tempfile
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import moedsr
import moedsr_platform
from moedsr.errors import InputError, JobError
from moedsr_platform.cluster.nodes import Node

JOB_VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Set by Ray for the process that a job starts: its name and runtime environment."""

_QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # CSV, JSON and TensorBoard files: MLflow holds all of that
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # only validations carry the objective
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # the reason stands in the table
    "TUNE_GLOBAL_CHECKPOINT_S": "100000",  # the sweep's log is what a resumed sweep goes on from
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # interruption.py has it
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # the new behaviour; its announcement is noise
    "RAY_DEDUP_LOGS": "1",
    "PYTHONWARNINGS": "ignore",
}

_SAID_BY_US = "A worker died or was killed|Raylet is terminated|killed due to memory pressure"
"""What Ray prints pages of, and we say in a line with the trial, the protein, or the sweep that it concerns."""

LONGEST_TEMPORARY = 40
"""Bytes of the folder below which Ray makes its own, of which a socket's path takes up to 67."""

FAREWELL_SECONDS = 3.0
"""For leaving Ray in order: where parts of it are gone, it takes a quarter of a minute, or for ever."""

_web_address: str | None = None
"""Of the dashboard of the cluster that this process is connected to."""

_farewell: threading.Thread | None = None
"""Leaves Ray."""


def connect(address: str | None) -> list[Node]:
    """Starts Ray on this machine, or connects to a cluster; returns its nodes.

    Args:
        address: of a cluster, ``auto`` for the one running here; None: $RAY_ADDRESS, else a new one.

    Raises:
        InputError: no cluster answers.
        JobError: Ray does not start on this machine.
    """
    address = address or os.environ.get("RAY_ADDRESS")
    skipped = _SAID_BY_US if address else f"{_SAID_BY_US}|has been marked dead"  # there, it may be another machine
    for key, value in {**_QUIET, "RAY_DEDUP_LOGS_SKIP_REGEX": skipped}.items():
        os.environ.setdefault(key, value)
    os.environ["PYTHONPATH"] = _python_path()
    import ray

    global _web_address  # Ray itself is one a process
    _silence()
    if _farewell is not None:
        _farewell.join()
    if not ray.is_initialized():
        try:
            # kept: to ask Ray again is to initialise it again, which takes the signals from whoever handles them
            with _sigterm_kept():
                _web_address = _init(address).address_info.get("webui_url")
        except Exception as error:  # Ray's own, of the plainest kind, when a part of it dies while it starts
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            if address and isinstance(error, ConnectionError | TimeoutError | RuntimeError | ValueError):
                raise InputError(f"no Ray cluster answers at {address}: {reason}") from None
            raise JobError(f"Ray did not start: {reason} The same command tries again.") from None
        except SystemExit:  # Ray's own answer to SIGTERM while it starts, by now handled again as it was before
            signal.raise_signal(signal.SIGTERM)
    return [
        Node(node["Resources"].get("CPU", 0.0), node["Resources"].get("GPU", 0.0))
        for node in ray.nodes()
        if node["Alive"]
    ]


def leave(patience: float = 0.0) -> None:
    """Begins to leave Ray, of which nothing is asked any more, and waits for so many seconds: it may never end."""
    global _farewell
    if _farewell is None or not _farewell.is_alive():
        _farewell = threading.Thread(target=_shut_down, daemon=True)
        _farewell.start()
    _farewell.join(patience)


def _shut_down() -> None:
    import ray

    with contextlib.suppress(Exception):  # of what is gone already
        ray.shutdown()


@contextlib.contextmanager
def _sigterm_kept() -> Iterator[None]:
    """Ray takes SIGTERM for itself when it starts, to leave without a word."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def job_id() -> str | None:
    """Name of the Ray job that this process was started by, as `ray job list` shows it; None outside of jobs."""
    settings = json.loads(os.environ.get(JOB_VARIABLE) or "{}")
    name = settings.get("metadata", {}).get("job_submission_id")
    return str(name) if name else None


def dashboard() -> str | None:
    """Address of the connected cluster's dashboard, at this job where there is one; None without a dashboard."""
    if not _web_address:
        return None
    job = job_id()
    return f"http://{_web_address}/#/jobs/{job}" if job else f"http://{_web_address}"


def train_runs() -> str | None:
    """Where the connected cluster's dashboard lists Ray Train runs, by the ids of their trials; None without one."""
    return f"http://{_web_address}/api/train/v2/runs/v1" if _web_address else None


def _init(address: str | None) -> Any:
    """Ray's own description of the connection."""
    import ray

    common = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        # workers of a cluster started here inherit PYTHONPATH
        with _group_of_its_own():
            return ray.init(
                address="local",
                num_cpus=int(this_machine().cpus),
                include_dashboard=False,
                _temp_dir=_short_folder(),
                **common,
            )
    if JOB_VARIABLE in os.environ:  # a submitted job: its runtime environment holds
        return ray.init(address=address, **common)
    return ray.init(address=address, runtime_env={"env_vars": {"PYTHONPATH": _python_path()}}, **common)


@contextlib.contextmanager
def _group_of_its_own() -> Iterator[None]:
    """What is started within is no part of this process's group.

    A signal that `timeout` or a shell sends to the whole group then reaches this process alone, which has its trials
    save themselves; Ray would end before they can. It still ends with this process.
    """
    group = os.getpgrp()
    with subprocess.Popen(["sleep", "60"], process_group=0) as leader:  # a group needs one to begin with
        try:
            os.setpgid(0, leader.pid)
        except OSError:  # the leader of a session stays where it is
            yield
            return
        finally:
            leader.kill()
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # nobody is left in the group
                os.setpgid(0, group)


def _short_folder() -> str | None:
    """A folder for Ray's files where the usual one is too long: the path of a socket must stay below 108 bytes."""
    usual = Path(tempfile.gettempdir())
    if len(os.fsencode(usual)) <= LONGEST_TEMPORARY:
        return None
    for place in (Path("/tmp"), Path("/dev/shm"), Path.home()):
        if os.access(place, os.W_OK) and len(os.fsencode(place)) < LONGEST_TEMPORARY:
            return str(place / f"ray-{os.getuid()}")
    raise InputError(
        f"the temporary folder {usual} is too long for Ray's sockets, and no shorter one can be written: set TMPDIR to "
        f"one of at most {LONGEST_TEMPORARY} bytes"
    )


def _silence() -> None:
    """Ray's advice to developers; errors still reach the user, through the trial's reason."""
    warnings.filterwarnings("ignore", module=r"ray\.")
    warnings.filterwarnings("ignore", module=r"optuna\.")
    logging.getLogger("optuna").setLevel(logging.ERROR)
    for name in ("ray", "ray.tune", "ray.train", "ray.air"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _python_path() -> str:
    """Folders in which workers find our packages, also from a checkout that is not installed."""
    roots = [str(Path(package.__path__[0]).resolve().parent) for package in (moedsr, moedsr_platform)]
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return os.pathsep.join(dict.fromkeys([*roots, *(path for path in given if path)]))


def this_machine() -> Node:
    """CPU cores that this process may use, and its GPUs."""
    import torch

    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Node(cpus, torch.cuda.device_count())
