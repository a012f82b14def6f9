"""Who is asked to stop, and that a resumed sweep remembers what the rule had seen."""

import json
from pathlib import Path
from types import SimpleNamespace

import cloudpickle
import pytest

from moedsr_platform.scheduler import SEEN, EarlyStopping
from moedsr_platform.sweep_file import SweepFile

ASHA = {"asha": {"grace_steps": 10, "reduction_factor": 2}}
MEDIAN = {"median": {"grace_steps": 20, "min_trials": 2}}


def stopping(folder: Path, scheduler: object, mode: str = "max") -> EarlyStopping:
    data = {
        "name": "x",
        "base": {"data": {"source": "mini-atlas"}, "training": {"steps": 40}},
        "scheduler": scheduler,
        "objective": {"metric": "val/iou", "mode": mode},
    }
    return EarlyStopping(SweepFile.model_validate_json(json.dumps(data)), folder)


def report(rule: EarlyStopping, trial: str, step: int, value: float | None) -> str:
    """Returns the decision that Tune gets."""
    scores = {} if value is None else {"val/iou": value}
    return rule.on_trial_result(None, SimpleNamespace(trial_id=trial), {"step": step, **scores})


def test_asha_asks_the_worse_half_of_a_rung_to_stop_and_never_kills(tmp_path: Path) -> None:
    rule = stopping(tmp_path, ASHA)
    decisions = [report(rule, trial, 10, value) for trial, value in (("a", 0.5), ("b", 0.7), ("c", 0.4), ("d", 0.8))]
    assert set(decisions) == {"CONTINUE"}
    assert rule.stopped == {"c"}
    report(rule, "b", 20, 0.7)
    report(rule, "d", 20, 0.6)  # the second rung
    assert rule.stopped == {"c", "d"}


def test_less_is_better_where_the_objective_says_so(tmp_path: Path) -> None:
    rule = stopping(tmp_path, ASHA, mode="min")
    for trial, value in (("a", 0.5), ("b", 0.7)):
        report(rule, trial, 10, value)
    assert rule.stopped == {"b"}


def test_the_median_rule_waits_for_others_and_for_its_grace(tmp_path: Path) -> None:
    rule = stopping(tmp_path, MEDIAN)
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
def test_reports_without_a_score_are_passed_over(tmp_path: Path, value: float | None) -> None:
    rule = stopping(tmp_path, ASHA)
    assert report(rule, "a", 10, value) == "CONTINUE"
    assert not (tmp_path / SEEN).exists()


@pytest.mark.parametrize("scheduler", [ASHA, MEDIAN])
def test_a_resumed_rule_decides_as_the_uninterrupted_one(tmp_path: Path, scheduler: object) -> None:
    values = [("a", 0.5), ("b", 0.9), ("c", 0.6), ("d", 0.3), ("e", 0.7), ("f", 0.2), ("g", 0.65)]
    events = [(trial, step, value) for trial, value in values for step in (10, 20, 40)]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    one = stopping(whole, scheduler)
    for event in events:
        report(one, *event)
    assert one.stopped
    other = stopping(parts, scheduler)
    pickled = cloudpickle.dumps(other)  # as Tune keeps it: from the beginning of the sweep
    for event in events[:10]:
        report(other, *event)
    with (parts / SEEN).open("a") as file:
        file.write('["d", 20')  # killed while it wrote
    again = cloudpickle.loads(pickled)
    for event in events[9:]:  # the trial that goes on repeats its last report
        report(again, *event)
    assert again.stopped == one.stopped
    assert (parts / SEEN).read_text() == (whole / SEEN).read_text()
