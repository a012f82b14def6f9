"""What Optuna is asked, and what it is told."""

import json

from moedsr_platform.searcher import SweepSearch
from moedsr_platform.sweep_file import SweepFile


def sweep(**more: object) -> SweepFile:
    data = {"name": "x", "base": {"data": {"source": "mini-atlas"}}, **more}
    return SweepFile.model_validate_json(json.dumps(data))


GRID = {"search": {"expert.count": {"grid": [4, 8]}}, "sampler": "grid"}


def test_nothing_searched_is_one_point() -> None:
    assert SweepSearch(sweep()).suggest("a") == {}


def test_a_grid_is_walked_in_order() -> None:
    search = SweepSearch(sweep(**GRID))
    assert [search.suggest(name) for name in "ab"] == [{"expert.count": 4}, {"expert.count": 8}]


def test_a_point_is_worth_the_mean_of_the_best_validations_of_its_seeds() -> None:
    search = SweepSearch(sweep(seeds=2, **GRID))
    first, second = search.suggest("a"), search.suggest("b")
    assert (first, second) == (
        {"expert.count": 4, "training.seed": 0},
        {"expert.count": 4, "training.seed": 1},
    )
    search.on_trial_result("a", {"train/loss": 1.0})
    search.on_trial_result("a", {"val/iou": 0.8})
    search.on_trial_result("a", {"val/iou": 0.6})
    search.on_trial_complete("a", {"val/iou": 0.6})
    assert search._ot_study.trials[0].value is None
    search.on_trial_complete("b", {"val/iou": 0.4})
    assert search._ot_study.trials[0].value == (0.8 + 0.4) / 2


def test_a_failed_trial_teaches_nothing() -> None:
    search = SweepSearch(sweep(**GRID))
    search.suggest("a")
    search.on_trial_result("a", {"val/iou": 0.9})
    search.on_trial_complete("a", {"failure": "worker 0: ValueError"})
    assert search._ot_study.trials[0].state.name == "FAIL"


def test_the_same_seed_samples_the_same_points() -> None:
    space = {"search": {"training.learning_rate": {"loguniform": [1e-4, 1e-2]}}, "trials": 3}
    one, two = SweepSearch(sweep(**space)), SweepSearch(sweep(**space))
    assert [one.suggest(str(i)) for i in range(3)] == [two.suggest(str(i)) for i in range(3)]
