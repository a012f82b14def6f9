"""The files of a checkpoint as a run's artifacts: ``checkpoint/``, ``routing/``, ``surfaces/``."""

import contextlib
import shutil
import time
from pathlib import Path

from moedsr_platform.routing_report import Routing, RoutingHistory

TRAINING_STATE = "training.pt"  # resumes a run on the machine that trains it; no part of a result
SURFACES = "surfaces"
TAKEN = ".taken"


def copy_checkpoint(checkpoint: Path, target: Path) -> None:
    """What a model is made of: no training state, no example surfaces."""
    shutil.copytree(checkpoint, target, ignore=shutil.ignore_patterns(TRAINING_STATE, SURFACES, ".*"))


def stage_checkpoint(checkpoint: Path, stage: Path, name: str) -> Path:
    """Copy what is worth keeping to a fresh folder under ``stage``, laid out as the run's artifacts.

    What waits there under the same name goes away, unless it was taken: a later checkpoint is the better one.
    """
    waiting = [path for path in stage.glob(f"{name}-*") if path.suffix != TAKEN] if stage.is_dir() else []
    target = stage / f"{name}-{time.time_ns()}"
    copy_checkpoint(checkpoint, target / "checkpoint")
    if (checkpoint / SURFACES).is_dir():
        shutil.copytree(checkpoint / SURFACES, target / SURFACES)
    for path in waiting:
        with contextlib.suppress(FileNotFoundError):  # taken in this moment
            shutil.rmtree(path.rename(path.with_suffix(".old")))
    return target


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
