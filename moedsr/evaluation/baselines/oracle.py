"""The best static surface: inside where at least half of the frames are that it may see."""

from collections.abc import Hashable, Iterable

from moedsr.evaluation.baselines._base import BaselineSettings
from moedsr.evaluation.predictor import Predictor
from moedsr.evaluation.scored_surface import Surface
from moedsr.evaluation.target import Target


class Oracle(Predictor):
    name = "oracle"

    def __init__(self, settings: BaselineSettings) -> None:
        pass

    def fits(self, target: Target) -> bool:
        return len(target.frames) > 1

    def shared(self, target: Target, frame: int) -> Hashable:
        return tuple(target.others(frame))

    def surfaces(self, target: Target, frame: int) -> Iterable[Surface]:
        return [target.mean_of_others(frame)]
