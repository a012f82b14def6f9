"""Proteins prepared as Ray tasks, one each: as many at once as cores and memory allow, the largest first."""

import errno
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from moedsr.config import PrepareConfig
from moedsr.data.ensemble import Ensemble
from moedsr.data.remote_store import RemoteEnsemble, prepare_anywhere
from moedsr.data.store_index import ProteinEntry
from moedsr.errors import CannotWriteError, InputError

_BASE_MEMORY = 600_000_000
"""Bytes of a task before its protein: the interpreter, its libraries, compiled code."""

_MEMORY_PER_BYTE = 400
"""Bytes of a task per byte of the structure file, about 81 bytes an atom: grids and the frames' surfaces."""

_TASKS_PER_CORE = 2
"""Tasks handed to Ray: one runs, one waits with its worker; the rest stay in this process."""

_NOT_THE_PROTEINS_FAULT = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)

Outcome = ProteinEntry | str
"""The prepared protein, or why it cannot be prepared."""


def outcomes(
    ensembles: Sequence[Ensemble | RemoteEnsemble], settings: PrepareConfig, target: str
) -> Iterator[tuple[str, Outcome]]:
    """Each protein's name with what became of it, in the order in which they end.

    Raises:
        CannotWriteError: the store's folder, or a machine's scratch folder, cannot be written.
    """
    import ray

    task = ray.remote(num_cpus=1, max_retries=2)(prepare_anywhere)
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    most = _TASKS_PER_CORE * max(1, int(sum(node.get("CPU", 0.0) for node in nodes)))
    largest = max(node.get("memory", 0.0) for node in nodes)
    # the longest tasks first, so that the last core does not wait long for one that began late
    waiting = deque(sorted(ensembles, key=lambda one: (-_structure_size(one), one.name)))
    running: dict[Any, str] = {}
    try:
        while waiting or running:
            while waiting and len(running) < most:
                ensemble = waiting.popleft()
                # one that fits nowhere would wait for ever: it gets a machine of its own instead
                memory = min(memory_needed(ensemble), largest)
                reference = task.options(memory=memory).remote(ensemble, settings, target)
                running[reference] = ensemble.name
            (ready, *_), _ = ray.wait(list(running), num_returns=1)
            yield running[ready], _outcome(ready, target)
            del running[ready]
    finally:
        for reference in running:
            ray.cancel(reference, force=True)


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
    except ray.exceptions.RayError as error:
        return f"its worker was lost three times: {str(error).splitlines()[0]}"
