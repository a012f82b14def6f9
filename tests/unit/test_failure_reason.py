"""Why a trial failed, in one line."""

import pytest
from ray.exceptions import ActorDiedError, OutOfMemoryError, RayActorError

from moedsr.errors import JobError
from moedsr_platform.trial.failure_reason import reason_of


def chained(outer: BaseException, cause: BaseException) -> BaseException:
    outer.__cause__ = cause
    return outer


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("thirteen is\nunlucky"), "ValueError: unlucky"),
        (chained(RuntimeError("wrapped"), MemoryError("no room")), "out of memory: no room"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
            "out of memory: DefaultCPUAllocator: can't allocate memory: you tried",
        ),
        (chained(RuntimeError("wrapped"), JobError("the loss is not a number")), "the loss is not a number"),
        (None, "its process was lost again and again: killed, out of memory, or its machine went away"),
        (ActorDiedError(), "its process was lost again and again: killed, out of memory, or its machine went away"),
        (
            OutOfMemoryError("1 worker(s) were killed due to the node running low on memory.\nOOM kill reason: ..."),
            "its process was lost because its machine ran out of memory",
        ),
        (
            RayActorError(error_msg="Owner's memory: 1. There are some potential root causes. (1) high memory usage."),
            "its process was lost again and again: killed, out of memory, or its machine went away",
        ),
        (ValueError(), "ValueError: no reason given"),
    ],
)
def test_the_cause_in_one_line(error: BaseException | None, reason: str) -> None:
    assert reason_of(error) == reason
