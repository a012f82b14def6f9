"""Proteins prepared as Ray tasks, one each: as many at once as cores and memory allow, the largest first."""

import errno
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from moedsr.config import PrepareConfig
from moedsr.errors import CannotWriteError, InputError, JobError
from moedsr.store.remote_store import RemoteEnsemble, prepare_anywhere
from moedsr.store.store_index import ProteinEntry
from moedsr.structures.ensemble import Ensemble
from moedsr_platform.display.progress import Patience, clock

_BASE_MEMORY = 600_000_000
"""Bytes of a task before its protein: the interpreter, its libraries, compiled code."""

_MEMORY_PER_BYTE = 400
"""Bytes of a task per byte of the structure file, about 81 bytes an atom: grids and the frames' surfaces."""

_TASKS_PER_CORE = 2
"""Tasks handed to Ray: one runs, one waits with its worker; the rest stay in this process."""

_LOOK_SECONDS = 1.0
"""How often it is looked whether there is a machine to work on."""

_NOT_THE_PROTEINS_FAULT = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)


class ProcessesLost(str):
    """Why a protein is not prepared that may have nothing wrong: what worked on it was killed, again and again."""


Outcome = ProteinEntry | str
"""The prepared protein, or why it cannot be prepared."""


def outcomes(
    ensembles: Sequence[Ensemble | RemoteEnsemble], settings: PrepareConfig, target: str, say: Callable[[str], None]
) -> Iterator[tuple[str, Outcome]]:
    """Each protein's name with what became of it, in the order in which they end.

    Args:
        ensembles: to prepare.
        settings: of the store.
        target: the store's folder or URL.
        say: told when the work has to wait for a machine.

    Raises:
        CannotWriteError: the store's folder, or a machine's scratch folder, cannot be written.
        JobError: Ray is gone from this machine.
    """
    import ray

    task = ray.remote(num_cpus=1, max_retries=2)(prepare_anywhere)
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    most = _TASKS_PER_CORE * max(1, int(sum(node.get("CPU", 0.0) for node in nodes)))
    largest = max(node.get("memory", 0.0) for node in nodes)
    # the longest tasks first, so that the last core does not wait long for one that began late
    waiting = deque(sorted(ensembles, key=lambda one: (-_structure_size(one), one.name)))
    running: dict[Any, str] = {}
    needed = min(memory_needed(waiting[0]), largest) if waiting else 0.0
    wait = _Waiting(needed, say)
    try:
        while waiting or running:
            while waiting and len(running) < most:
                ensemble = waiting.popleft()
                # one that fits nowhere would wait for ever: it gets a machine of its own instead
                memory = min(memory_needed(ensemble), largest)
                reference = task.options(memory=memory).remote(ensemble, settings, target)
                running[reference] = ensemble.name
            for ready in ray.wait(list(running), num_returns=1, timeout=_LOOK_SECONDS)[0]:
                yield running[ready], _outcome(ready, target)
                del running[ready]
            wait.tick(len(running) + len(waiting))
    finally:
        for reference in (*running, wait.probe):
            ray.cancel(reference, force=True)


class _Waiting:
    """Says now and then that no machine of the cluster can work: it has no room, or is only starting machines.

    Nobody tells whether a task has begun, so one goes ahead that ends at once.

    Args:
        memory: bytes that the largest protein needs.
        say: takes the line.
    """

    def __init__(self, memory: float, say: Callable[[str], None]) -> None:
        import ray

        self.probe = ray.remote(num_cpus=1, memory=memory)(_do_nothing).remote()
        self._memory, self._say, self._patience = memory, say, Patience()

    def tick(self, left: int) -> None:
        """``left``: proteins that are not prepared yet."""
        import ray

        began = bool(ray.wait([self.probe], timeout=0)[0])
        cpus = sum(node["Resources"].get("CPU", 0.0) for node in ray.nodes() if node["Alive"])
        waited = self._patience.ends(waiting=left > 0 and not (began and cpus >= 1))
        if waited is not None:
            self._say(
                f"waiting for a machine since {clock(waited)}: {left} protein{'s' if left > 1 else ''} to prepare, "
                f"each needs 1 CPU and up to {self._memory / 1e9:.1f} GB of memory, the cluster has {cpus:g} CPU in "
                "all; `ray status` shows who holds them"
            )


def _do_nothing() -> None:
    pass


def memory_needed(ensemble: Ensemble | RemoteEnsemble) -> float:
    """Bytes that preparing a protein may take, by which Ray decides how many run on a machine at once."""
    return float(_BASE_MEMORY + _MEMORY_PER_BYTE * _structure_size(ensemble))


def _structure_size(ensemble: Ensemble | RemoteEnsemble) -> int:
    return ensemble.topology.stat().st_size if isinstance(ensemble, Ensemble) else ensemble.size


def _outcome(reference: Any, target: str) -> Outcome:
    import ray

    try:
        entry = ray.get(reference)
        assert isinstance(entry, ProteinEntry)
        return entry
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, CannotWriteError):
            raise CannotWriteError(f"{cause}; finished proteins are kept") from None
        if isinstance(cause, InputError):
            return str(cause)
        if isinstance(cause, OSError) and cause.errno in _NOT_THE_PROTEINS_FAULT:
            raise CannotWriteError(f"{target}: cannot be written: {cause}; finished proteins are kept") from None
        return f"{type(cause).__name__}: {cause}"
    except ray.exceptions.LocalRayletDiedError:
        raise JobError("Ray on this machine is gone; finished proteins are kept, the same command goes on") from None
    except ray.exceptions.RayError as error:
        return ProcessesLost(f"its worker was lost three times: {str(error).splitlines()[0]}")
