"""The ensemble itself as a prediction: all frames that may be seen for the one that is scored."""

from collections.abc import Hashable, Iterable

from moedsr.evaluation.baselines._base import BaselineSettings
from moedsr.evaluation.predictor import Predictor
from moedsr.evaluation.scored_surface import Surface
from moedsr.evaluation.target import Target


class TrueEnsemble(Predictor):
    name = "ensemble"

    def __init__(self, settings: BaselineSettings) -> None:
        pass

    def fits(self, target: Target) -> bool:
        return len(target.frames) > 2

    def shared(self, target: Target, frame: int) -> Hashable:
        return tuple(target.others(frame))

    def surfaces(self, target: Target, frame: int) -> Iterable[Surface]:
        return [target.truth(i) for i in target.others(frame)]
