"""A training function that is over in seconds, and a driver for it: to try the platform without the science.

The score is best where expert.count is 8. The loss is a chaotic series, whose state goes through the checkpoints: a
trial that lost or repeated a step could not end with the right numbers. When a worker begins, ``count seed step`` is
written to $FAKE_LOG. Count 13 raises; count 8 is killed once, at step 30, when $FAKE_KILL is set.
"""

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
    start, state = meta.get("step", 0), meta.get("state", (0.618 * count + 0.1 * config.training.seed + 0.05) % 1)
    log = Path(os.environ["FAKE_LOG"])
    with log.open("a") as file:
        file.write(f"{count} {config.training.seed} {start}\n")
    if count == 13:
        raise ValueError("thirteen is\nunlucky")
    history = []
    for step in range(start + 1, last + 1):
        time.sleep(float(os.environ.get("FAKE_SECONDS", "0.01")))
        if step == 30 and count == 8 and "FAKE_KILL" in os.environ and not log.with_suffix(".killed").exists():
            log.with_suffix(".killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        state = 3.9 * state * (1 - state)
        history.append((step, {"train/loss": state}))
        if step % config.training.report_every == 0:
            stopping = stop()
            metrics = scores(count, step, state) if step % config.training.validate_every == 0 else {}
            checkpoint = save(config, step, state, metrics, scratch) if metrics or stopping else None
            report(Report(step, metrics, checkpoint, step == last, history))
            history = []
            if stopping:
                return


def scores(count: int, step: int, state: float) -> dict[str, float]:
    return {
        "val/iou": 0.9 - abs(count - 8) / 16 + step / 1000 + 1e-7 * state,
        "naive/iou": 0.5,
        "oracle/iou": 0.95,
        "val/gap_closed": 0.1,
    }


def save(config: Config, step: int, state: float, metrics: dict[str, float], scratch: Path) -> Path:
    folder = scratch / f"step-{step}"
    folder.mkdir()
    (folder / "config.json").write_text(config.model_dump_json())
    time.sleep(float(os.environ.get("FAKE_SECONDS", "0.01")))  # a moment in which half of it is there
    (folder / "meta.json").write_text(json.dumps({"step": step, "metrics": metrics, "state": state}))
    (folder / "model.safetensors").write_bytes(b"")
    return folder


def main(file: str, *flags: str) -> None:
    from moedsr.errors import InputError, JobError
    from moedsr_platform.sweep import Request, run_sweep
    from moedsr_platform.sweep_file import load_sweep

    try:
        run_sweep(Request(sweep=load_sweep(Path(file)), file=Path(file), resume="--resume" in flags, train=train))
    except (InputError, JobError) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2 if isinstance(error, InputError) else 1)


if __name__ == "__main__":
    import fake_training  # by its own name, so that workers find it

    fake_training.main(*sys.argv[1:])
