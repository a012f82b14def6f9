"""The workers of a trial: its own process is the first, Ray actors in the same placement group are the others.

The group outlives the trial: the next one that Tune gives to this process finds all workers connected, with torch
imported and the store mapped. Ray Train starts seven processes for each trial of two workers, and ends them with it.

When a worker is lost, this process ends itself: it may be waiting for that worker deep inside of a collective
operation. To Tune it is a lost process like any other: the trial goes on from its last checkpoint, with new workers.
"""

import functools
import os
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NoReturn

import ray
from ray.exceptions import GetTimeoutError
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from moedsr.errors import InputError, JobError
from moedsr_platform.cluster.lost_processes import LOST
from moedsr_platform.sweep_file.schema import Resources
from moedsr_platform.trial.failure_reason import reason_of
from moedsr_platform.trial.worker import Send, run_training

GRACE = 5.0
"""Seconds for the first worker to end by itself, for the reason for which another did."""

START, SILENCE = 600.0, 60.0
"""Seconds after which a worker that does not answer is lost: one that starts, perhaps on a machine that has to load its
packages first, and one that trains; Ray takes half a minute to miss a machine."""

PATIENCE = timedelta(minutes=30)
"""For the slowest worker, in one collective operation."""


@dataclass(frozen=True, kw_only=True)
class Meeting:
    """Where the workers of a group find each other.

    Attributes:
        host, port: of the first worker, which keeps the addresses of all.
        workers: how many there are.
        backend: of ``torch.distributed``.
        one_machine: whether none is elsewhere: nothing then listens beyond this machine.
    """

    host: str
    port: int
    workers: int
    backend: str
    one_machine: bool

    def join(self, rank: int, store: Any = None) -> None:
        """Become the worker of this rank; returns when all have come. ``store``: of the first worker."""
        import torch
        from torch import distributed

        if self.one_machine:
            loopback = next(name for _, name in socket.if_nameindex() if name.startswith("lo"))
            os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback)
        distributed.init_process_group(
            self.backend,
            store=store or _store(self.host, self.port, self.workers),
            rank=rank,
            world_size=self.workers,
            timeout=PATIENCE,
            device_id=torch.device("cuda", 0) if self.backend == "nccl" else None,
        )


class TrialWorker:
    """An actor: a worker other than the first. It has a second thread, to answer while it trains."""

    def machine(self) -> str:
        """Ray's name of the node it runs on; also a sign of life."""
        return str(ray.get_runtime_context().get_node_id())

    def train(self, task: dict[str, Any], meeting: Meeting, rank: int) -> None:
        """Its part of one trial; only the first worker reports."""
        from torch import distributed

        if not distributed.is_initialized():
            meeting.join(rank)
        run_training(task, lambda said: None)


class WorkerGroup:
    """Workers that train one trial after another. They start with the first one, and anew after one that failed.

    Args:
        resources: of one trial, whose placement group this process is in.
    """

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._others: list[Any] = []
        self._meeting: Meeting | None = None

    def train(self, task: dict[str, Any], send: Send, fail: Callable[[str], None]) -> None:
        """Train one trial; returns when all workers have ended.

        Args:
            task: as ``run_training`` takes it.
            send: where the first worker's reports go.
            fail: writes down why the trial failed, where another worker is to blame and this process has to end.

        Raises:
            Exception: what this worker raised.
        """
        if self._resources.workers == 1:
            run_training(task, send)
            return
        store = None if self._others else self._start()
        assert self._meeting is not None
        calls = {other.train.remote(task, self._meeting, at): at for at, other in enumerate(self._others, start=1)}
        failed = threading.Event()
        watch = threading.Thread(target=_watch, args=(calls, failed, fail), daemon=True)
        watch.start()
        try:
            if store is not None:
                self._meeting.join(0, store)
            run_training(task, send)
            watch.join()
        except BaseException as error:
            if not isinstance(error, InputError | JobError):  # it may be what a lost worker leaves behind
                self._machines(SILENCE)
            failed.set()
            self._end()
            raise

    def _start(self) -> Any:
        """Starts the other workers; returns the store in which they find each other."""
        resources, group = self._resources, ray.util.get_current_placement_group()
        self._others = [
            ray.remote(TrialWorker)
            .options(
                num_cpus=resources.cpus_per_worker,
                num_gpus=resources.gpus_per_worker,
                max_concurrency=2,
                scheduling_strategy=PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=place),
            )
            .remote()
            for place in range(1, resources.workers)
        ]
        import torch  # noqa: F401  while they start

        one_machine = {*self._machines(START)} == {ray.get_runtime_context().get_node_id()}
        host = "127.0.0.1" if one_machine else ray.util.get_node_ip_address()
        listener = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        port = listener.getsockname()[1]
        store = _store(
            host, port, resources.workers, is_master=True, wait_for_workers=False, master_listen_fd=listener.detach()
        )
        backend = backend_of(resources)
        self._meeting = Meeting(
            host=host, port=port, workers=resources.workers, backend=backend, one_machine=one_machine
        )
        return store

    def _machines(self, patience: float) -> list[str]:
        """Where the other workers run; if one does not answer within so many seconds, this process ends."""
        try:
            machines: list[str] = ray.get([other.machine.remote() for other in self._others], timeout=patience)
        except (*LOST, GetTimeoutError):
            end_process()
        return machines

    def _end(self) -> None:
        """Without a word to the others: who knows what they are waiting for."""
        from torch import distributed

        for other in self._others:
            ray.kill(other)
        self._others = []
        if distributed.is_initialized():
            if (world := distributed.group.WORLD) is not None and distributed.get_backend() == "nccl":
                world.abort()  # what is under way on the GPU would be waited for
            distributed.destroy_process_group()


@functools.cache
def worker_group(resources: Resources) -> WorkerGroup:
    """The group of this process."""
    return WorkerGroup(resources)


def backend_of(resources: Resources) -> str:
    """What connects the workers: NCCL refuses two on one GPU, which is where those with a part of one may be."""
    from torch.distributed import is_nccl_available

    return "nccl" if resources.gpus_per_worker >= 1 and is_nccl_available() else "gloo"


def _store(*arguments: Any, **settings: Any) -> Any:
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    return TCPStore(*arguments, **settings)


def end_process() -> NoReturn:
    """At once, whatever its threads wait for."""
    os._exit(1)


def _watch(calls: dict[Any, int], failed: threading.Event, fail: Callable[[str], None]) -> None:
    """Waits for the other workers; ends this process when one is lost, or fails and the first does not."""
    while calls:
        (done, *_), _ = ray.wait(list(calls), num_returns=1)
        rank = calls.pop(done)
        try:
            ray.get(done)
        except LOST:
            if not failed.is_set():
                end_process()
        except Exception as error:
            if not failed.wait(GRACE):
                fail(f"worker {rank}: {reason_of(error)}")
                end_process()
