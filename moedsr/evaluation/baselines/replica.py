"""Molecular dynamics of the same kind and length: the frames of one other replica."""

from collections.abc import Hashable, Iterable

from moedsr.evaluation.baselines._base import BaselineSettings
from moedsr.evaluation.predictor import Predictor
from moedsr.evaluation.scored_surface import Surface
from moedsr.evaluation.target import Target


class OtherReplica(Predictor):
    name = "replica"

    def __init__(self, settings: BaselineSettings) -> None:
        pass

    def fits(self, target: Target) -> bool:
        return target.several_replicas

    def shared(self, target: Target, frame: int) -> Hashable:
        return int(target.replicas[frame])

    def surfaces(self, target: Target, frame: int) -> Iterable[Surface]:
        there = sorted({int(target.replicas[i]) for i in target.frames})
        other = there[(there.index(int(target.replicas[frame])) + 1) % len(there)]
        return [target.truth(i) for i in target.frames if target.replicas[i] == other]
