"""The files of a checkpoint as a run's artifacts: ``checkpoint/``, ``routing/``, ``surfaces/``."""

import itertools
import shutil
from pathlib import Path

from moedsr_platform.routing_report import Routing, RoutingHistory

TRAINING_STATE = "training.pt"  # resumes a run on the machine that trains it; no part of a result
SURFACES = "surfaces"
_counter = itertools.count()


def copy_checkpoint(checkpoint: Path, target: Path) -> None:
    """What a model is made of: no training state, no example surfaces."""
    shutil.copytree(checkpoint, target, ignore=shutil.ignore_patterns(TRAINING_STATE, SURFACES, ".*"))


def stage_checkpoint(checkpoint: Path, stage: Path) -> Path:
    """Copy what is worth keeping to a fresh folder under ``stage``, laid out as the run's artifacts."""
    target = stage / f"{next(_counter):06d}"
    copy_checkpoint(checkpoint, target / "checkpoint")
    if (checkpoint / SURFACES).is_dir():
        shutil.copytree(checkpoint / SURFACES, target / SURFACES)
    return target


def add_routing(staged: Path, history: RoutingHistory) -> None:
    """``routing/`` beside a staged checkpoint that says how its proteins were routed."""
    table = staged / "checkpoint" / "routing.json"
    if table.is_file():
        Routing.load(table).write(staged / "routing", history)
