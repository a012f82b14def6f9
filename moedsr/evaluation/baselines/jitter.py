"""P0 with every atom displaced by itself, as far as atoms of other proteins are from their P0: Gaussians."""

from collections.abc import Iterator

import numpy as np

from moedsr.evaluation.baselines._base import BaselineSettings
from moedsr.evaluation.predictor import Predictor
from moedsr.evaluation.scored_surface import Surface
from moedsr.evaluation.target import Target


class Jitter(Predictor):
    name = "jitter"

    def __init__(self, settings: BaselineSettings) -> None:
        self._samples, self._calibration = settings.samples, settings.calibration

    def surfaces(self, target: Target, frame: int) -> Iterator[Surface]:
        rng = np.random.default_rng(0)
        atoms = target.protein.atom_positions
        width = np.sqrt(self._calibration.mean_square(target.protein.name) / 3)
        for _ in range(self._samples):
            yield target.conformation(atoms + rng.normal(0.0, width, atoms.shape))
