"""TPE sees the order of listed numbers; the study keeps the numbers."""

from collections.abc import Callable

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import TrialState, create_trial

from moedsr_platform.ordered_choices import OrderedChoices
from moedsr_platform.samplers import experimental

LEVELS = (64, 1, 2, 4, 8, 16, 32, 128, 256, 512)  # in any order
SPACE: dict[str, BaseDistribution] = {
    "size": CategoricalDistribution(LEVELS),
    "word": CategoricalDistribution(("a", "b", "c")),
    "flag": CategoricalDistribution((True, False)),
    "few": CategoricalDistribution((3, 1)),
    "rate": FloatDistribution(0.1, 1.0, log=True),
}

Make = Callable[[int], BaseSampler]


def plain(seed: int) -> BaseSampler:
    with experimental():
        return TPESampler(seed=seed, n_startup_trials=3, multivariate=True, constant_liar=True)


def ordered(seed: int) -> BaseSampler:
    return OrderedChoices(plain(seed))


def study_of(sampler: BaseSampler, tried: dict[int, float]) -> optuna.Study:
    """A study that knows the values of some sizes."""
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for size, value in tried.items():
        params = {"size": size, "word": "a", "flag": True, "few": 3, "rate": 0.5}
        study.add_trial(create_trial(value=value, params=params, distributions=SPACE))
    return study


def proposals(make: Make) -> list[int]:
    """Sizes proposed after a search has seen that values around 64 are best."""
    tried = {1: 0.0, 4: 0.2, 16: 0.6, 64: 1.0, 256: 0.6, 512: 0.4}
    return [study_of(make(seed), tried).ask(SPACE).params["size"] for seed in range(40)]


def test_neighbours_of_what_was_good_are_tried_before_what_is_far() -> None:
    next_to_it = {32, 128}
    with_order, without = (sum(size in next_to_it for size in proposals(make)) for make in (ordered, plain))
    assert with_order >= 10 > 5 >= without


@pytest.mark.parametrize("multivariate", [False, True])
def test_the_study_holds_the_listed_values(multivariate: bool) -> None:
    with experimental():
        study = optuna.create_study(directions=["maximize", "minimize"])
    for number in range(25):
        with experimental():
            study.sampler = OrderedChoices(
                TPESampler(seed=number, n_startup_trials=5, multivariate=multivariate, constant_liar=True)
            )
        trial = study.ask(SPACE)
        assert all(SPACE[key]._contains(SPACE[key].to_internal_repr(value)) for key, value in trial.params.items())
        assert trial.distributions == SPACE
        if number % 4:  # every fourth one is still running
            study.tell(trial, [trial.params["size"] / 512, trial.params["rate"]])
    study.enqueue_trial({"size": 8})
    assert study.ask(SPACE).params["size"] == 8
    assert {trial.state for trial in study.trials} == {TrialState.RUNNING, TrialState.COMPLETE}


def test_words_flags_and_pairs_are_what_they_were() -> None:
    """Of these nothing is translated: the same seed proposes the same."""
    space = {key: value for key, value in SPACE.items() if key != "size"}
    found = []
    for make in (ordered, plain):
        study = optuna.create_study(direction="maximize", sampler=make(7))
        for value in range(8):
            trial = study.ask(space)
            study.tell(trial, float(value))
        found.append([trial.params for trial in study.trials])
    assert found[0] == found[1]
