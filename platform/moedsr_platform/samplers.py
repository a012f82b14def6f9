"""Samplers: how the next point of a search is chosen. One entry in ``SAMPLERS`` each."""

import contextlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import NSGAIISampler, RandomSampler, TPESampler

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from moedsr_platform.sweep_file import SweepFile

STARTUP_POINTS = 10
"""Points that TPE samples at random first; of a short search a third."""
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
    return SAMPLERS["random" if chance else sweep.sampler](sweep, seed)


def _random(sweep: "SweepFile", seed: int) -> "BaseSampler":
    return RandomSampler(seed=seed)


def _tpe(sweep: "SweepFile", seed: int) -> "BaseSampler":
    """Each key by itself. Points that are still running count as bad ones, so that parallel trials spread out."""
    return TPESampler(seed=seed, n_startup_trials=_startup(sweep), multivariate=False, constant_liar=True)


def _multivariate_tpe(sweep: "SweepFile", seed: int) -> "BaseSampler":
    """Keys together, those under conditions in groups that are searched together; running points count as bad."""
    conditional = any(domain.when for domain in sweep.search.values())
    with experimental():
        return TPESampler(
            seed=seed, n_startup_trials=_startup(sweep), multivariate=True, group=conditional, constant_liar=True
        )


def _nsga2(sweep: "SweepFile", seed: int) -> "BaseSampler":
    return NSGAIISampler(seed=seed, population_size=max(4, min(POPULATION, sweep.points // 5)))


def _startup(sweep: "SweepFile") -> int:
    return min(STARTUP_POINTS, max(3, sweep.points // 3))


SAMPLERS: Mapping[str, Callable[["SweepFile", int], "BaseSampler"]] = {
    "random": _random,
    "grid": _random,  # its points are all given; only what they leave open would be sampled
    "tpe": _tpe,
    "multivariate_tpe": _multivariate_tpe,
    "nsga2": _nsga2,
}
