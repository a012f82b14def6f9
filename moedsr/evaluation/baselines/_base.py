"""What baselines are made with."""

from dataclasses import dataclass, field
from pathlib import Path

from moedsr.evaluation.calibration import Calibration


@dataclass(frozen=True)
class BaselineSettings:
    """How many samples an ensemble has, and what is fitted on other proteins."""

    samples: int = 32
    calibration: Calibration = field(default_factory=Calibration)
    structures: Path | None = None  # folder of ID/ID.pdb from which `md` starts
    simulations: Path | None = None  # folder that keeps what `md` simulated
