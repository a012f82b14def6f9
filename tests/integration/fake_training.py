"""A training function that is over in seconds, and a driver for it: to try the platform without the science.

The score depends on expert.count alone and is best at 8. When a worker begins, ``count seed step`` is written to
$FAKE_LOG. Count 13 raises; count 8 is killed once, at step 30, when $FAKE_KILL is set.
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
    start = json.loads((resume_from / "meta.json").read_text())["step"] if resume_from else 0
    log = Path(os.environ["FAKE_LOG"])
    with log.open("a") as file:
        file.write(f"{count} {config.training.seed} {start}\n")
    if count == 13:
        raise ValueError("thirteen is\nunlucky")
    for step in range(start + 1, last + 1):
        time.sleep(float(os.environ.get("FAKE_SECONDS", "0.01")))
        if step == 30 and count == 8 and "FAKE_KILL" in os.environ and not log.with_suffix(".killed").exists():
            log.with_suffix(".killed").touch()
            time.sleep(5)  # Ray's controller takes the last checkpoint in every two seconds
            os.kill(os.getpid(), signal.SIGKILL)
        if step % config.training.report_every == 0:
            validate = step % config.training.validate_every == 0
            report(make_report(config, step, scratch if validate else None))
            if stop():
                return


def make_report(config: Config, step: int, scratch: Path | None) -> Report:
    history = [(at, {"train/loss": 1 / at}) for at in range(step - config.training.report_every + 1, step + 1)]
    if scratch is None:
        return Report(step, {}, None, False, history)
    metrics = {
        "val/iou": 0.9 - abs(config.expert.count - 8) / 16 + step / 1000,
        "naive/iou": 0.5,
        "oracle/iou": 0.95,
        "val/gap_closed": 0.1,
    }
    folder = scratch / f"step-{step}"
    folder.mkdir()
    (folder / "meta.json").write_text(json.dumps({"step": step, "metrics": metrics}))
    (folder / "config.json").write_text(config.model_dump_json())
    (folder / "model.safetensors").write_bytes(b"")
    return Report(step, metrics, folder, step == config.training.steps, history)


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
