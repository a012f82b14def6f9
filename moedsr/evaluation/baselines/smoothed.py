"""P0's signed distance, blurred by a width that is fitted on other proteins."""

from collections.abc import Iterable

import numpy as np

from moedsr.evaluation.baselines._base import BaselineSettings
from moedsr.evaluation.predictor import Predictor
from moedsr.evaluation.scored_surface import LevelSurface, Surface
from moedsr.evaluation.target import Target
from moedsr.geometry.occupancy import smoothed_distance


class Smoothed(Predictor):
    name = "smoothed"

    def __init__(self, settings: BaselineSettings) -> None:
        self._calibration = settings.calibration

    def surfaces(self, target: Target, frame: int) -> Iterable[Surface]:
        grid = target.grid
        # blurred on the full grid, then thinned: a coarse grid cannot hold a narrow Gaussian
        distance = target.initial.surface.on_metric_grid(np.zeros(3), grid.scale, grid.nodes)
        width = self._calibration.smoothing_width(target.protein.name)
        blurred = smoothed_distance(distance, grid.spacing / grid.stride, width)
        return [LevelSurface(blurred[:: grid.stride, :: grid.stride, :: grid.stride])]
