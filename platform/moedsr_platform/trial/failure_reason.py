"""Why a trial failed, in one line."""

import re
from collections.abc import Iterator

from moedsr.errors import InputError, JobError

_NO_MEMORY = "can't allocate memory"
_LOST_PEER = re.compile(r"gloo|nccl|c10d|process ?group|TCPStore|Connection (closed|reset|refused)|Broken pipe", re.I)


def reason_of(error: BaseException | None) -> str:
    """The cause behind Ray's wrappers: which exception, and what it says."""
    from moedsr_platform.cluster.lost_processes import LOST

    causes = list(_causes(error))
    # of several workers most fail because one did
    cause = min(causes, key=lambda one: (may_follow_from_a_loss(one), isinstance(one, LOST)), default=None)
    lost = next((one for one in causes if isinstance(one, LOST)), None)
    if cause is None or isinstance(cause, LOST) or (lost is not None and may_follow_from_a_loss(cause)):
        memory = " because its machine ran out of memory" if "low on memory" in str(lost or cause) else ""
        return f"its process was lost{memory or ' again and again: killed, out of memory, or its machine went away'}"
    return named(cause)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The errors behind an error: of each worker of a group that failed, and below what wraps them."""
    if error is None:
        return
    workers = getattr(error, "worker_failures", None)
    if workers:
        for failure in workers.values():
            yield from _causes(failure)
        return
    inner = (
        getattr(error, "_base_exc", None)
        or getattr(error, "controller_failure", None)
        or getattr(error, "cause", None)
        or error.__cause__
    )
    if isinstance(inner, BaseException) and inner is not error:
        yield from _causes(inner)
    else:
        yield error


def may_follow_from_a_loss(error: BaseException) -> bool:
    """Whether an error of one worker may be no more than what the loss of another one leads to."""
    if isinstance(error, InputError | JobError) or _is_out_of_memory(error):
        return False
    return (
        isinstance(error, RuntimeError | OSError) and _LOST_PEER.search(f"{type(error).__name__}: {error}") is not None
    )


def named(error: BaseException) -> str:
    """An error with its kind; our own speak for themselves."""
    line = last_line(str(error))
    if isinstance(error, InputError | JobError):
        return line
    return f"{'out of memory' if _is_out_of_memory(error) else type(error).__name__}: {line}"


def _is_out_of_memory(error: BaseException) -> bool:
    """torch's own error on a GPU is of that name; on a CPU it is any RuntimeError."""
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or _NO_MEMORY in str(error)


def last_line(text: str) -> str:
    """The last line that says something, shortened."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no reason given"
