"""What Optuna is asked, what it is told, and what a resumed search still knows."""

import contextlib
import json
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import optuna
import pytest
from optuna.storages import RDBStorage
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from moedsr.errors import InputError
from moedsr_platform.search import searcher
from moedsr_platform.search import study as study_module
from moedsr_platform.search.searcher import StudyPlace, SweepSearch
from moedsr_platform.sweep_file.schema import SweepFile


def sweep(**more: object) -> SweepFile:
    data = {"name": "x", "base": {"data": {"source": "mini-atlas"}}, **more}
    return SweepFile.model_validate_json(json.dumps(data))


GRID = {"search": {"expert.count": {"grid": [4, 8]}}, "sampler": "grid"}
RATE = {"training.learning_rate": {"loguniform": [1e-4, 1e-2]}}
CONDITIONAL = {
    "router.backbone": {"choice": ["q_mpnn", "pointnet2"]},
    "router.radial_basis": {"int": [8, 32], "when": {"router.backbone": "q_mpnn"}},
    **RATE,
}


def study_of(search: SweepSearch) -> optuna.Study:
    return search.study._study


def test_nothing_searched_is_one_point() -> None:
    assert SweepSearch(sweep()).suggest("a") == {}


def test_a_grid_is_walked_in_order_and_then_over() -> None:
    search = SweepSearch(sweep(**GRID))
    assert [search.suggest(name) for name in "abc"] == [{"expert.count": 4}, {"expert.count": 8}, "FINISHED"]


def test_a_point_is_worth_the_mean_of_the_best_validations_of_its_seeds() -> None:
    search = SweepSearch(sweep(seeds=2, **GRID))
    first, second = search.suggest("a"), search.suggest("b")
    assert (first, second) == (
        {"expert.count": 4, "training.seed": 0},
        {"expert.count": 4, "training.seed": 1},
    )
    search.on_trial_result("a", {"train/loss": 1.0, "step": 1})
    search.on_trial_result("a", {"val/iou": 0.8, "step": 2})
    search.on_trial_result("a", {"val/iou": 0.6, "step": 3})
    search.on_trial_complete("a", {"val/iou": 0.6, "step": 3})
    assert study_of(search).trials[0].value is None
    search.on_trial_complete("b", {"val/iou": 0.4, "step": 3})
    assert study_of(search).trials[0].value == (0.8 + 0.4) / 2


def test_a_failed_trial_teaches_nothing() -> None:
    search = SweepSearch(sweep(**GRID))
    search.suggest("a")
    search.on_trial_result("a", {"val/iou": 0.9, "step": 1})
    search.on_trial_complete("a", {"failure": "worker 0: ValueError"})
    assert study_of(search).trials[0].state.name == "FAIL"


def test_no_more_trials_run_at_once_than_allowed() -> None:
    search = SweepSearch(sweep(search=RATE, trials=3))
    assert search.set_max_concurrency(2)
    assert isinstance(search.suggest("a"), dict)
    assert isinstance(search.suggest("b"), dict)
    assert search.suggest("c") is None
    search.on_trial_complete("a", {"val/iou": 0.5, "step": 1})
    assert isinstance(search.suggest("c"), dict)


@pytest.mark.parametrize("sampler", ["random", "tpe", "multivariate_tpe", "nsga2"])
def test_every_sampler_keeps_to_the_space_and_its_conditions(sampler: str) -> None:
    """nsga2 with two objectives, the others with one; the same seed and results give the same points."""
    objectives = [{"metric": "val/iou"}, {"metric": "perf/active_parameters", "mode": "min"}]
    one = sweep(
        search=CONDITIONAL, trials=30, sampler=sampler, objective=objectives if sampler == "nsga2" else objectives[:1]
    )
    points = _run(SweepSearch(one), 30)
    assert points == _run(SweepSearch(one), 30)
    assert len({json.dumps(point) for point in points}) == 30  # NSGA-II alone would have repeated some
    for point in points:
        assert ("router.radial_basis" in point) == (point["router.backbone"] == "q_mpnn")
        assert 8 <= point.get("router.radial_basis", 8) <= 32
        assert 1e-4 <= point["training.learning_rate"] <= 1e-2
    assert _run(SweepSearch(one.model_copy(update={"sampler_seed": 1})), 30) != points


@pytest.mark.parametrize("sampler", ["tpe", "multivariate_tpe"])
def test_tpe_finds_better_points_than_chance(sampler: str) -> None:
    """The best of 40 points on a slope with its top inside, over five seeds: TPE's lies closer to it than chance."""

    def best(kind: str, seed: int) -> float:
        search = SweepSearch(sweep(search=RATE, trials=40, sampler=kind, sampler_seed=seed))
        return max(_score(point) for point in _run(search, 40))

    wins = [best(sampler, seed) > best("random", seed) for seed in range(5)]
    assert sum(wins) >= 4


def test_points_to_start_with_come_first_and_what_they_leave_out_is_sampled() -> None:
    start = [{"training.learning_rate": 0.003}, {"router.backbone": "q_mpnn", "router.radial_basis": 16}]
    search = SweepSearch(sweep(search=CONDITIONAL, trials=3, start=start))
    first, second, third = (search.suggest(name) for name in "abc")
    assert first["training.learning_rate"] == 0.003
    assert first["router.backbone"] in ("q_mpnn", "pointnet2")
    assert (second["router.backbone"], second["router.radial_basis"]) == ("q_mpnn", 16)
    assert third["training.learning_rate"] not in (first["training.learning_rate"], second["training.learning_rate"])


@pytest.mark.parametrize("sampler", ["random", "tpe", "multivariate_tpe"])
def test_a_listed_space_is_searched_without_repetition_to_its_end(sampler: str) -> None:
    space = {"expert.count": {"choice": [2, 4, 8]}, "router.l_max": {"choice": [1, 2]}}
    one = sweep(search=space, trials=50, sampler=sampler)
    assert one.points == 6
    search = SweepSearch(one)
    seen = []
    for number in range(6):
        point = search.suggest(f"t{number}")
        assert isinstance(point, dict)
        seen.append((point["expert.count"], point["router.l_max"]))
        search.on_trial_complete(f"t{number}", {"val/iou": point["expert.count"] / 8, "step": 1})
    assert sorted(seen) == [(count, degree) for count in (2, 4, 8) for degree in (1, 2)]
    assert search.suggest("more") == "FINISHED"
    told = [trial for trial in study_of(search).trials if trial.state.name == "COMPLETE"]
    assert len(told) == 6


def test_two_objectives_are_read_at_the_validation_that_is_best_in_the_first() -> None:
    objectives = [{"metric": "val/iou"}, {"metric": "perf/steps_per_second", "mode": "max"}]
    search = SweepSearch(sweep(search=RATE, trials=2, objective=objectives))
    search.suggest("a")
    search.on_trial_result("a", {"val/iou": 0.8, "perf/steps_per_second": 3.0, "step": 1})
    search.on_trial_result("a", {"val/iou": 0.7, "perf/steps_per_second": 9.0, "step": 2})
    search.on_trial_complete("a", {"perf/steps_per_second": 1.0, "step": 3})
    assert study_of(search).trials[0].values == [0.8, 3.0]


def test_an_interrupted_search_goes_on_as_the_uninterrupted_one_would(tmp_path: Path) -> None:
    """Another process finds the study: it samples the same points, and each trial stands in it once."""
    one = sweep(search=CONDITIONAL, trials=14, start=[{"router.backbone": "q_mpnn"}])
    expected = _run(SweepSearch(one), 14)
    url = f"sqlite:///{tmp_path / 'optuna.db'}"
    found = _run(SweepSearch(one, StudyPlace(url, "s")), 9)
    # saved, then killed: Tune knows the first eight trials only, and the ninth point was not yet reported
    first = SweepSearch(one, StudyPlace(url, "s", again=True))
    lost = first.suggest("lost")
    snapshot = tmp_path / "searcher.json"
    second = SweepSearch(one, StudyPlace(url, "s", again=True))
    snapshot.write_text(json.dumps([f"t{number}" for number in range(9)]))
    second.restore(str(snapshot))
    again = second.suggest("t9")
    assert again == lost  # its place, not a further point
    second.on_trial_complete("t9", _result(again))
    second.on_trial_complete("t3", {"val/iou": 0.0, "step": 1})  # said again: changes nothing
    found += [again, *_run(second, 4, first=10)]
    assert found == expected
    trials = study_of(second).trials
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 14
    assert trials[3].value == _score(found[3])
    assert [trial.user_attrs["trials"] for trial in trials] == [[f"t{number}"] for number in range(14)]


def test_values_that_a_killed_process_had_not_sampled_yet_are_sampled(tmp_path: Path) -> None:
    one = sweep(search=CONDITIONAL, trials=2)
    expected = SweepSearch(one).suggest("a")
    url = f"sqlite:///{tmp_path / 'optuna.db'}"
    place = StudyPlace(url, "s")
    study_of(SweepSearch(one, place)).ask()  # and nothing more
    assert SweepSearch(one, StudyPlace(url, "s", again=True)).suggest("a") == expected


def test_a_pickled_search_opens_its_study_again(tmp_path: Path) -> None:
    """As Tune does when a sweep is resumed; a trial that was under way is heard of there."""
    import cloudpickle

    search = SweepSearch(sweep(search=RATE, trials=2), StudyPlace(f"sqlite:///{tmp_path / 'optuna.db'}", "s"))
    search.suggest("a")
    search.on_trial_result("a", {"val/iou": 0.9, "step": 1})
    search.save(str(tmp_path / "state"))
    copy = cloudpickle.loads(cloudpickle.dumps(search))
    copy.restore(str(tmp_path / "state"))
    copy.set_max_concurrency(1)
    assert copy.suggest("b") is None  # `a` still runs
    copy.on_trial_complete("a", {"val/iou": 0.7, "step": 2})
    assert study_of(copy).trials[0].value == 0.9


def test_the_dashboard_opens_the_study(tmp_path: Path) -> None:
    dashboard = pytest.importorskip("optuna_dashboard", reason="needs pip install -e '.[dashboard]'")
    url = f"sqlite:///{tmp_path / 'optuna.db'}"
    search = SweepSearch(sweep(search=RATE, trials=2), StudyPlace(url, "a-sweep"))
    _run(search, 2)
    app = dashboard.wsgi(url)

    def get(path: str) -> Any:
        environ: dict[str, Any] = {}
        setup_testing_defaults(environ)
        body = b"".join(app({**environ, "PATH_INFO": path}, lambda *_: None))
        return json.loads(body)

    (found,) = get("/api/studies")["study_summaries"]
    assert found["study_name"] == "a-sweep"
    trials = get(f"/api/studies/{found['study_id']}")["trials"]
    assert [trial["state"] for trial in trials] == ["Complete", "Complete"]


def test_a_study_of_somebody_else_is_not_joined(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'optuna.db'}"
    SweepSearch(sweep(search=RATE, trials=2), StudyPlace(url, "s"))
    with pytest.raises(InputError, match=r"has a study `s` already: choose another name with --name"):
        SweepSearch(sweep(search=RATE, trials=2), StudyPlace(url, "s"))


def test_a_storage_that_cannot_be_used_is_said_in_one_line_without_its_password() -> None:
    with pytest.raises(InputError, match=r"storage postgresql\+none://host/db cannot be used") as caught:
        SweepSearch(sweep(search=RATE, trials=2), StudyPlace("postgresql+none://me:secret@host/db", "s"))
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def _score(point: dict[str, Any]) -> float:
    """Best at a learning rate of 0.002."""
    return 1 / (1 + abs(point["training.learning_rate"] / 0.002 - 1))


def _result(point: dict[str, Any]) -> dict[str, Any]:
    return {"val/iou": _score(point), "perf/active_parameters": point.get("router.radial_basis", 4), "step": 1}


def _run(search: SweepSearch, trials: int, first: int = 0) -> list[dict[str, Any]]:
    """One trial after the other."""
    points = []
    for number in range(first, first + trials):
        point = search.suggest(f"t{number}")
        assert isinstance(point, dict)
        points.append(point)
        search.on_trial_complete(f"t{number}", _result(point))
    return points


def test_a_study_of_the_same_name_that_is_another_sweeps(tmp_path: Path) -> None:
    """A sweep that was killed before it had its study finds that another, with its results elsewhere, took the name."""
    one, url = sweep(search=RATE, trials=2), f"sqlite:///{tmp_path / 'optuna.db'}"
    SweepSearch(one, StudyPlace(url, "s", owner="first"))
    for again in (False, True):
        with pytest.raises(InputError, match="has a study `s` already: choose another name"):
            SweepSearch(one, StudyPlace(url, "s", again=again, owner="second"))
    SweepSearch(one, StudyPlace(url, "s", again=True, owner="first"))


def test_a_storage_that_another_sweep_makes_in_the_same_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url, make, calls = f"sqlite:///{tmp_path / 'optuna.db'}", study_module.RDBStorage, []

    def make_late(*arguments: Any, **named: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 1:
            raise RuntimeError("(sqlite3.OperationalError) table studies already exists")
        return make(*arguments, **named)

    monkeypatch.setattr(study_module, "RDBStorage", make_late)
    SweepSearch(sweep(search=RATE, trials=2), StudyPlace(url, "s"))
    assert len(calls) == 2


def test_a_storage_that_somebody_else_writes_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked again, and what was under way begins anew from what the storage has."""
    monkeypatch.setattr(searcher, "PAUSE", 0.01)
    one = sweep(search=RATE, trials=2)
    expected = SweepSearch(one).suggest("a")
    search = SweepSearch(one, StudyPlace(f"sqlite:///{tmp_path / 'optuna.db'}", "s"))
    commit, chance = Session.commit, random.Random(0)

    def refuse(self: Session) -> None:
        if chance.random() < 0.3:
            raise OperationalError("UPDATE", {}, Exception("database is locked"))
        commit(self)

    with monkeypatch.context() as locked:
        locked.setattr(Session, "commit", refuse)
        assert search.suggest("a") == expected
        search.on_trial_result("a", {"val/iou": 0.5, "step": 1})
        search.on_trial_result("a", {"val/iou": 0.7, "step": 2})
        search.on_trial_result("a", {"val/iou": 0.6, "step": 3})
        search.on_trial_complete("a", {"step": 4})
    (trial,) = study_of(search).trials
    assert (trial.value, trial.user_attrs["trials"], trial.params) == (0.7, ["a"], expected)
    assert trial.intermediate_values == {1: 0.5, 2: 0.7, 3: 0.6}
    assert search.away is None


def test_a_storage_that_stays_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searcher, "PATIENCE", 0.0)
    search = SweepSearch(sweep(search=RATE, trials=2), StudyPlace(f"sqlite:///{tmp_path / 'optuna.db'}", "s"))
    (tmp_path / "optuna.db").write_bytes(b"")
    with pytest.raises(optuna.exceptions.StorageInternalError):
        search.suggest("a")
    assert search.away is not None
    assert re.fullmatch(r"storage sqlite:.*optuna\.db does not answer \(.*no such table: \w+\)", search.away)


CHANGES = ("_create_new_trial", "_set_trial_param", "set_trial_state_values", "set_trial_user_attr")


def test_a_process_that_is_killed_while_it_replaces_a_repetition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before each of its changes to the study: the next process gives the points that this one would have given."""
    one = sweep(search={"training.learning_rate": {"grid": [1e-3, 2e-3, 3e-3, 4e-3, 5e-3]}}, sampler="random", trials=5)
    whole = SweepSearch(one)
    expected = _run(whole, 5)
    told = [(trial.params, trial.state) for trial in study_of(whole).trials]
    repetition = next(point.number for point in whole.study._all if point.repeats)
    found = _run(SweepSearch(one, StudyPlace(f"sqlite:///{tmp_path / 'before.db'}", "s")), repetition)
    for moment in range(20):
        url = f"sqlite:///{shutil.copy(tmp_path / 'before.db', tmp_path / f'{moment}.db')}"
        search, left = SweepSearch(one, StudyPlace(url, "s", again=True)), moment

        def or_killed(change: Callable[..., Any]) -> Callable[..., Any]:
            def made(*given: Any, **named: Any) -> Any:
                nonlocal left
                left -= 1
                if left < 0:
                    raise KeyboardInterrupt
                return change(*given, **named)

            return made

        with monkeypatch.context() as killed:
            for name in CHANGES:
                killed.setattr(RDBStorage, name, or_killed(getattr(RDBStorage, name)))
            with contextlib.suppress(KeyboardInterrupt):
                search.suggest(f"t{repetition}")
        again = SweepSearch(one, StudyPlace(url, "s", again=True))
        assert found + _run(again, 5 - repetition, first=repetition) == expected
        assert [(trial.params, trial.state) for trial in study_of(again).trials] == told
        if left >= 0:
            break
    assert moment >= 8
