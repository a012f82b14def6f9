"""Who is asked to stop. That a resumed sweep remembers is in test_sweep_log.py."""

import json
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from moedsr_platform.search.scheduler import EarlyStopping
from moedsr_platform.sweep_file.schema import SweepFile

ASHA = {"asha": {"grace_steps": 10, "reduction_factor": 2}}
MEDIAN = {"median": {"grace_steps": 20, "min_trials": 2}}


def stopping(
    scheduler: object, mode: str = "max", seeds: int = 1, stop: Callable[[str], None] = lambda trial_id: None
) -> EarlyStopping:
    data = {
        "name": "x",
        "base": {"data": {"source": "mini-atlas"}, "training": {"steps": 40}},
        "scheduler": scheduler,
        "seeds": seeds,
        "objective": {"metric": "val/iou" if mode == "max" else "val/chamfer", "mode": mode},
    }
    return EarlyStopping(SweepFile.model_validate_json(json.dumps(data)), stop)


def report(rule: EarlyStopping, trial: str, step: int, value: float | None) -> str:
    """Returns the decision that Tune gets."""
    scores = {} if value is None else {"val/iou": value, "val/chamfer": value}
    return rule.on_trial_result(None, SimpleNamespace(trial_id=trial), {"step": step, **scores})


def test_asha_asks_the_worse_half_of_a_rung_to_stop_and_never_kills() -> None:
    rule = stopping(ASHA)
    decisions = [report(rule, trial, 10, value) for trial, value in (("a", 0.5), ("b", 0.7), ("c", 0.4), ("d", 0.8))]
    assert set(decisions) == {"CONTINUE"}
    assert rule.stopped == {"c"}
    report(rule, "d", 20, 0.6)  # the second rung
    report(rule, "b", 20, 0.7)  # d was better than that once
    assert rule.stopped == {"b", "c"}


@pytest.mark.parametrize("mode", ["max", "min"])
def test_asha_compares_the_best_that_trials_reached_not_where_they_are(mode: str) -> None:
    """A trial's result and the checkpoint that is kept are those of its best validation."""
    rule, sign = stopping(ASHA, mode=mode), 1 if mode == "max" else -1
    report(rule, "a", 5, sign * 0.9)
    report(rule, "a", 10, sign * 0.4)  # it dips just at the rung
    report(rule, "b", 10, sign * 0.8)
    report(rule, "c", 10, sign * 0.95)
    assert rule.stopped == {"b"}
    report(rule, "c", 20, sign * 0.5)
    report(rule, "a", 20, sign * 0.6)  # c was better once
    assert rule.stopped == {"a", "b"}


def test_less_is_better_where_the_objective_says_so() -> None:
    rule = stopping(ASHA, mode="min")
    for trial, value in (("a", 0.5), ("b", 0.7)):
        report(rule, trial, 10, value)
    assert rule.stopped == {"b"}


def test_the_median_rule_waits_for_others_and_for_its_grace() -> None:
    rule = stopping(MEDIAN)
    for step in (10, 20, 30):
        report(rule, "a", step, 0.6)
        report(rule, "b", step, 0.8)
    report(rule, "c", 10, 0.1)
    assert rule.stopped == set()
    report(rule, "c", 20, 0.2)
    assert rule.stopped == {"c"}
    report(rule, "c", 30, 0.3)  # on its way out
    report(rule, "d", 20, 0.9)
    assert rule.stopped == {"c"}


@pytest.mark.parametrize("value", [None, float("nan")])
def test_reports_without_a_score_are_passed_over(value: float | None) -> None:
    rule = stopping(ASHA)
    assert report(rule, "a", 10, value) == "CONTINUE"
    assert rule.stopped == set()


def add(rule: EarlyStopping, *trials: str) -> None:
    for trial in trials:
        rule.on_trial_add(None, SimpleNamespace(trial_id=trial))


def test_seeds_of_a_point_do_not_compete_and_end_where_its_first_trial_was_stopped() -> None:
    asked: list[str] = []
    rule = stopping(ASHA, seeds=2, stop=asked.append)
    add(rule, "a0", "a1", "b0", "b1", "c0", "c1", "a1")  # the last one is told again, as after a resume
    report(rule, "a0", 10, 0.9)
    report(rule, "a1", 10, 0.1)  # far behind, but the first trial of its point is not
    assert rule.stopped == set()
    report(rule, "b1", 10, 0.95)
    report(rule, "b0", 10, 0.3)  # the first trial of its point decides for those that have come as far
    assert rule.stopped == {"b0", "b1"}
    report(rule, "c0", 10, 0.2)
    assert rule.stopped == {"b0", "b1", "c0"}
    report(rule, "c1", 5, 0.99)
    assert "c1" not in rule.stopped
    report(rule, "c1", 10, 0.99)
    assert "c1" in rule.stopped
    assert set(asked) == rule.stopped


def test_where_the_first_trial_of_a_point_failed_the_next_one_decides() -> None:
    rule = stopping(ASHA, seeds=2)
    add(rule, "a0", "a1", "b0", "b1")
    report(rule, "a0", 10, 0.9)
    rule.on_trial_complete(None, SimpleNamespace(trial_id="b0"), {"step": 0, "failure": "why"})
    report(rule, "b1", 10, 0.1)
    assert rule.stopped == {"b1"}


def test_the_trial_that_stands_for_its_point_has_its_own_best() -> None:
    """Also from before it did."""
    rule = stopping(ASHA, seeds=2)
    add(rule, "a0", "a1", "b0", "b1")
    report(rule, "a0", 10, 0.5)
    report(rule, "b1", 10, 0.9)
    rule.on_trial_complete(None, SimpleNamespace(trial_id="b0"), {"step": 0, "failure": "why"})
    report(rule, "a0", 20, 0.6)
    report(rule, "b1", 20, 0.4)
    assert rule.stopped == set()


def test_one_that_lost_its_process_is_stopped_like_any_other() -> None:
    """Tune says that it failed, then gives it again."""
    rule = stopping(ASHA)
    add(rule, "a", "b")
    report(rule, "a", 10, 0.9)
    rule.on_trial_error(None, SimpleNamespace(trial_id="b"))
    add(rule, "b")
    report(rule, "b", 10, 0.1)
    assert rule.stopped == {"b"}
