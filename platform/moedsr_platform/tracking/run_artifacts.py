"""The files of a checkpoint as a run's artifacts: ``checkpoint/``, ``routing/``, ``surfaces/``."""

import contextlib
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from moedsr.files import flush
from moedsr_platform.tracking.routing_report import Routing, RoutingHistory

TRAINING_STATE = "training.pt"  # resumes a run on the machine that trains it; no part of a result
SURFACES = "surfaces"
TAKEN = ".taken"


def copy_checkpoint(checkpoint: Path, target: Path, copy: Callable[[str, str], object] = shutil.copy2) -> None:
    """What a model is made of: no training state, no example surfaces."""
    left_out = shutil.ignore_patterns(TRAINING_STATE, SURFACES, ".*")
    shutil.copytree(checkpoint, target, ignore=left_out, copy_function=copy)


def stage_checkpoint(checkpoint: Path, stage: Path, name: str) -> Path | None:
    """Keep what is worth it in a fresh folder under ``stage``, laid out as the run's artifacts.

    None: the checkpoint is gone, or goes in this moment, because its trial has a better one.

    The files of a checkpoint never change, so that a second name for each is enough: it costs neither time nor room,
    and what it names is on disk already. What waits there under the same name goes away, unless it was taken: a later
    checkpoint is the better one.
    """
    waiting = [path for path in stage.glob(f"{name}-*") if path.suffix != TAKEN] if stage.is_dir() else []
    target = stage / f"{name}-{time.time_ns()}"
    try:
        copy_checkpoint(checkpoint, target / "checkpoint", _link)
        if (checkpoint / SURFACES).is_dir():
            shutil.copytree(checkpoint / SURFACES, target / SURFACES, copy_function=_link)
    except OSError:
        if checkpoint.exists():
            raise
    if not checkpoint.exists():
        shutil.rmtree(target, ignore_errors=True)
        return None
    for folder, _, _ in os.walk(target):
        flush(Path(folder))
    flush(stage)
    for path in waiting:
        with contextlib.suppress(FileNotFoundError):  # taken in this moment
            shutil.rmtree(path.rename(path.with_suffix(".old")))
    return target


def _link(file: str, name: str) -> None:
    try:
        os.link(file, name)
    except OSError:  # another file system, or one without links
        shutil.copy2(file, name)
        flush(Path(name))


def take_staged(staged: Path) -> Path | None:
    """Keep a staged folder from being replaced while it is sent, or again after that failed; None: it is gone."""
    taken = staged.with_suffix(TAKEN)
    with contextlib.suppress(FileNotFoundError):
        staged.rename(taken)
    return taken if taken.is_dir() else None


def add_routing(staged: Path, history: RoutingHistory) -> None:
    """``routing/`` beside a staged checkpoint that says how its proteins were routed."""
    table = staged / "checkpoint" / "routing.json"
    if table.is_file():
        Routing.load(table).write(staged / "routing", history)
