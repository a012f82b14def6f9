"""Doing nothing: P0 for every frame."""

from collections.abc import Iterable

from moedsr.evaluation.baselines._base import BaselineSettings
from moedsr.evaluation.predictor import Predictor
from moedsr.evaluation.scored_surface import Surface
from moedsr.evaluation.target import Target


class Naive(Predictor):
    name = "naive"

    def __init__(self, settings: BaselineSettings) -> None:
        pass

    def surfaces(self, target: Target, frame: int) -> Iterable[Surface]:
        return [target.initial]
