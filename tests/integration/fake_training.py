"""A training function that is over in seconds, and a driver for it: to try the platform without the science.

The score is best where expert.count is 8. The loss is a chaotic series, whose state goes through the checkpoints: a
trial that lost or repeated a step could not end with the right numbers: ``series`` says which. When a trial begins,
``count seed step`` is written to $FAKE_LOG. Count 8 is killed once, at step 30, when $FAKE_KILL is set; the counts in
``FAILING`` fail; while a file ``.full`` lies beside $FAKE_LOG, the disk is full.
"""

import errno
import functools
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from moedsr.config import Config
from moedsr.errors import JobError
from moedsr.training import distributed


def raise_an_error() -> None:
    raise ValueError("thirteen is\nunlucky")


def diverge() -> None:
    raise JobError("the loss is not a number at step 7; try a smaller learning rate")


def allocate_too_much() -> None:
    import torch

    torch.empty(2**48)


def be_killed() -> None:
    """As the operating system does it for want of memory."""
    os.kill(os.getpid(), signal.SIGKILL)


def eat_memory() -> None:
    """Six GiB in all, by and by: something is to notice before."""
    eaten = []
    for _ in range(120):
        eaten.append(b"\1" * (50 * 1024**2))
        time.sleep(0.1)
    raise AssertionError("nothing noticed")


def raise_in_another_worker() -> None:
    if distributed.rank() == 1:
        raise_an_error()


FAILING = {
    13: raise_an_error,
    14: diverge,
    15: allocate_too_much,
    16: be_killed,
    17: eat_memory,
    18: raise_in_another_worker,
}


@dataclass(frozen=True)
class Report:
    step: int
    metrics: dict[str, float]
    checkpoint: Path | None
    done: bool
    history: list[tuple[int, dict[str, float]]] = field(default_factory=list)


def train(
    config: Config,
    store: Path,
    *,
    report: Callable[[Any], None],
    scratch: Path,
    resume_from: Path | None = None,
    device: str = "auto",
    stop: Callable[[], bool] = lambda: False,
) -> None:
    count, last = config.expert.count, config.training.steps
    meta = json.loads((resume_from / "meta.json").read_text()) if resume_from else {}
    start, state = meta.get("step", 0), meta.get("state", first_state(count, config.training.seed))
    log, first = Path(os.environ["FAKE_LOG"]), distributed.rank() == 0
    if first:
        with log.open("a") as file:
            file.write(f"{count} {config.training.seed} {start}\n")
    if count in FAILING:
        FAILING[count]()
    history = []
    for step in range(start + 1, last + 1):
        time.sleep(float(os.environ.get("FAKE_SECONDS", "0.01")))
        if step == 30 and count == 8 and "FAKE_KILL" in os.environ and not log.with_suffix(".killed").exists():
            log.with_suffix(".killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        state = after(state)
        history.append((step, {"train/loss": state}))
        if step % config.training.report_every == 0:
            stopping = any(distributed.gather(stop()))
            metrics = scores(count, step, state) if step % config.training.validate_every == 0 else {}
            checkpoint = save(config, step, state, metrics, scratch) if first and (metrics or stopping) else None
            report(Report(step, metrics, checkpoint, step == last, history))
            history = []
            if stopping:
                return


def first_state(count: int, seed: int) -> float:
    return (0.618 * count + 0.1 * seed + 0.05) % 1


def after(state: float) -> float:
    return 3.9 * state * (1 - state)


def series(count: int, steps: int, seed: int = 0) -> dict[int, float]:
    """The loss at each step of a trial, however often it was interrupted."""
    state, found = first_state(count, seed), {}
    for step in range(1, steps + 1):
        state = after(state)
        found[step] = state
    return found


def scores(count: int, step: int, state: float) -> dict[str, float]:
    return {
        "val/iou": 0.9 - abs(count - 8) / 16 + step / 1000 + 1e-7 * state,
        "naive/iou": 0.5,
        "oracle/iou": 0.95,
        "val/gap_closed": 0.1,
        "perf/active_parameters": 1000.0 * count,
    }


def save(config: Config, step: int, state: float, metrics: dict[str, float], scratch: Path) -> Path:
    if Path(os.environ["FAKE_LOG"]).with_suffix(".full").exists():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    folder = scratch / f"step-{step}"
    folder.mkdir()
    (folder / "config.json").write_text(config.model_dump_json())
    time.sleep(float(os.environ.get("FAKE_SECONDS", "0.01")))  # a moment in which half of it is there
    (folder / "meta.json").write_text(json.dumps({"step": step, "metrics": metrics, "state": state}))
    (folder / "model.safetensors").write_bytes(b"")
    return folder


def main(*arguments: str) -> None:
    """`moedsr sweep` with these arguments."""
    from moedsr_platform.__main__ import run
    from moedsr_platform.sweep import request as sweep_request

    sweep_request.Request = functools.partial(sweep_request.Request, train=train)  # type: ignore[assignment,misc]
    sys.argv = ["moedsr", "sweep", *arguments]
    run()


if __name__ == "__main__":
    import fake_training  # by its own name, so that workers find it

    fake_training.main(*sys.argv[1:])
