"""Why a trial failed, in one line."""

from moedsr.errors import InputError, JobError

_NO_MEMORY = "can't allocate memory"


def reason_of(error: BaseException | None) -> str:
    """The cause behind Ray's wrappers: which exception, and what it says."""
    from moedsr_platform.cluster.lost_processes import LOST

    cause = error
    while cause is not None:
        inner = getattr(cause, "_base_exc", None) or getattr(cause, "cause", None) or cause.__cause__
        if not isinstance(inner, BaseException) or inner is cause:
            break
        cause = inner
    if cause is None or isinstance(cause, LOST):
        memory = " because its machine ran out of memory" if "low on memory" in str(cause) else ""
        return f"its process was lost{memory or ' again and again: killed, out of memory, or its machine went away'}"
    return named(cause)


def named(error: BaseException) -> str:
    """An error with its kind; our own speak for themselves."""
    line = last_line(str(error))
    if isinstance(error, InputError | JobError):
        return line
    # torch's own error on a GPU is of this name; on a CPU it is any RuntimeError
    full = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return f"{'out of memory' if full or _NO_MEMORY in line else type(error).__name__}: {line}"


def last_line(text: str) -> str:
    """The last line that says something, shortened."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no reason given"
