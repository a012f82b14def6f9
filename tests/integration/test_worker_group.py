"""Trials of two workers: they stay from trial to trial, and the reason of one that fails is told."""

import os

import pytest
from killing import TRIAL, WORKER, MakeScene, Scene

pytestmark = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")


def grid(*counts: int) -> str:
    return f"{{expert.count: {{grid: {list(counts)}}}}}"


def state(scene: Scene, number: int) -> str | None:
    return scene.rows[number]["state"] if number < len(scene.rows) else None


LOST = "its process was lost again and again: killed, out of memory, or its machine went away"


def ends(scene: Scene) -> list[tuple[int, str, str | None]]:
    return [(row["params"]["expert.count"], row["state"], row["reason"]) for row in scene.rows]


def test_workers_stay_from_trial_to_trial_and_are_new_after_a_failure(make_scene: MakeScene) -> None:
    """18: the second worker raises, while the first one waits for it."""
    scene = make_scene("kept", sampler="grid", trials=3, workers=2, search=grid(18, 6, 7))
    process, at_work = scene.start(resume=False, FAKE_SECONDS="0.1"), []
    for number in (1, 2):
        scene.wait_for(lambda: state(scene, number) == "RUNNING" and bool(scene.rows[number]["best"]), process)  # noqa: B023
        at_work.append((scene.processes(TRIAL), scene.processes(WORKER)))
    assert process.wait(300) == 0, scene.output
    assert at_work[0] == at_work[1]
    assert [len(kind) for kind in at_work[0]] == [1, 1]
    assert ends(scene) == [(18, "FAIL", "worker 1: ValueError: unlucky"), (6, "COMPLETE", None), (7, "COMPLETE", None)]
    assert "Traceback" not in scene.output


@pytest.mark.slow
def test_a_failure_of_all_workers_is_told_and_the_sweep_goes_on(make_scene: MakeScene) -> None:
    """14: all diverge; 13: all raise; 16: all are killed."""
    scene = make_scene("fail", sampler="grid", trials=4, workers=2, search=grid(14, 13, 16, 6))
    assert scene.start(resume=False).wait(600) == 0, scene.output
    diverged = "the loss is not a number at step 7; try a smaller learning rate"
    assert ends(scene) == [
        (14, "FAIL", diverged),
        (13, "FAIL", "ValueError: unlucky"),
        (16, "FAIL", LOST),
        (6, "COMPLETE", None),
    ]
    assert "Traceback" not in scene.output
