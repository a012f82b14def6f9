"""Another frame, drawn at random: of another replica where there are several."""

from collections.abc import Hashable, Iterable

import numpy as np

from moedsr.evaluation.baselines._base import BaselineSettings
from moedsr.evaluation.predictor import Predictor
from moedsr.evaluation.scored_surface import Surface
from moedsr.evaluation.target import Target


class RandomFrame(Predictor):
    name = "random"

    def __init__(self, settings: BaselineSettings) -> None:
        pass

    def fits(self, target: Target) -> bool:
        return len(target.frames) > 1

    def shared(self, target: Target, frame: int) -> Hashable:
        return frame

    def surfaces(self, target: Target, frame: int) -> Iterable[Surface]:
        others = target.others(frame)
        return [target.truth(others[np.random.default_rng(frame).integers(len(others))])]
