"""Samplers: how the next point of a search is chosen. One entry in ``SAMPLERS`` each."""

import contextlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import NSGAIISampler, RandomSampler, TPESampler

from moedsr_platform.search.forecast import ForecastSampler
from moedsr_platform.search.spread import SpreadSampler

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from moedsr_platform.sweep_file.schema import SweepFile

STARTUP_POINTS = 8
"""Points that are spread evenly before TPE takes over; of a short search a third."""
POPULATION = 50
"""Points of a generation of NSGA-II; of a short search a fifth, so that at least five generations follow each other."""


@contextlib.contextmanager
def experimental() -> Iterator[None]:
    """Optuna warns of its experimental parts; those that are used here are held by tests."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield


def make_sampler(sweep: "SweepFile", number: int, *, chance: bool = False) -> "BaseSampler":
    """The sampler of the point with this number, counted from 0; ``chance``: at random, whatever the file says.

    Each point has a sampler of its own, seeded by ``sampler_seed`` and the number. What it knows of earlier points
    lies in the study, so an interrupted search goes on with the very points that it would have tried, and never
    repeats those of its beginning.
    """
    seed = int(np.random.SeedSequence([sweep.sampler_seed % 2**32, number]).generate_state(1)[0])
    name = "random" if chance else sweep.sampler
    if name in LEARNING and number < startup(sweep):
        return SpreadSampler(sweep.sampler_seed, number, startup(sweep))
    return SAMPLERS[name](sweep, seed)


def _random(sweep: "SweepFile", seed: int) -> "BaseSampler":
    return RandomSampler(seed=seed)


def _tpe(sweep: "SweepFile", seed: int) -> "BaseSampler":
    """Each key by itself."""
    sampler = TPESampler(seed=seed, n_startup_trials=_least(sweep), multivariate=False, constant_liar=True)
    return _foreseeing(sweep, sampler)


def _multivariate_tpe(sweep: "SweepFile", seed: int) -> "BaseSampler":
    """Keys together, those under conditions in groups that are searched together."""
    conditional = any(domain.when for domain in sweep.search.values())
    with experimental():
        sampler = TPESampler(
            seed=seed, n_startup_trials=_least(sweep), multivariate=True, group=conditional, constant_liar=True
        )
    return _foreseeing(sweep, sampler)


def _foreseeing(sweep: "SweepFile", sampler: TPESampler) -> "BaseSampler":
    """Of two objectives the second has no learning curve: points count as they ended, running ones as bad."""
    return ForecastSampler(sampler) if len(sweep.objectives) == 1 else sampler


def _nsga2(sweep: "SweepFile", seed: int) -> "BaseSampler":
    return NSGAIISampler(seed=seed, population_size=max(4, min(POPULATION, sweep.points // 5)))


def startup(sweep: "SweepFile") -> int:
    """Number of points that are spread evenly, before those that TPE chooses."""
    return min(STARTUP_POINTS, max(3, sweep.points // 3))


def _least(sweep: "SweepFile") -> int:
    """Points that must have been validated before TPE chooses; where more run at once than that, chance goes on."""
    return max(1, startup(sweep) // 2)


SAMPLERS: Mapping[str, Callable[["SweepFile", int], "BaseSampler"]] = {
    "random": _random,
    "grid": _random,  # its points are all given; only what they leave open would be sampled
    "tpe": _tpe,
    "multivariate_tpe": _multivariate_tpe,
    "nsga2": _nsga2,
}
LEARNING = ("tpe", "multivariate_tpe")
"""Samplers that begin with points spread evenly."""
