"""What a model has to beat, and what it cannot: one file each, all scored as models are.

From P0 alone: naive, smoothed, jitter, elastic. From the ensemble itself, without the frame that is scored (nor its
replica, where there are several): random, replica, oracle, ensemble. From a simulation of its own: md.
"""

from collections.abc import Callable, Mapping

from moedsr.evaluation.baselines._base import BaselineSettings
from moedsr.evaluation.baselines.elastic import Elastic
from moedsr.evaluation.baselines.ensemble import TrueEnsemble
from moedsr.evaluation.baselines.jitter import Jitter
from moedsr.evaluation.baselines.md import ShortSimulation
from moedsr.evaluation.baselines.naive import Naive
from moedsr.evaluation.baselines.oracle import Oracle
from moedsr.evaluation.baselines.random_frame import RandomFrame
from moedsr.evaluation.baselines.replica import OtherReplica
from moedsr.evaluation.baselines.smoothed import Smoothed
from moedsr.evaluation.predictor import Predictor

BASELINES: Mapping[str, Callable[[BaselineSettings], Predictor]] = {
    baseline.name: baseline
    for baseline in (
        Naive,
        Smoothed,
        RandomFrame,
        Jitter,
        Elastic,
        ShortSimulation,
        OtherReplica,
        Oracle,
        TrueEnsemble,
    )
}
"""By name, in the order in which they are shown."""

__all__ = ["BASELINES", "BaselineSettings"]
