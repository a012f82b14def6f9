"""Trials of two workers are Ray Train runs: what ends with them, and the reason of one that fails."""

import os

import pytest
from killing import MakeScene, Scene, check_whole

pytestmark = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")


def grid(*counts: int) -> str:
    return f"{{expert.count: {{grid: {list(counts)}}}}}"


LOST = "its process was lost again and again: killed, out of memory, or its machine went away"


def ends(scene: Scene) -> list[tuple[int, str, str | None]]:
    return [(row["params"]["expert.count"], row["state"], row["reason"]) for row in scene.rows]


def test_a_worker_that_raises_fails_its_trial_alone(make_scene: MakeScene) -> None:
    """18: the second worker raises, while the first one waits for it. The next trial needs the CPUs of both."""
    scene = make_scene("kept", sampler="grid", trials=2, workers=2, search=grid(18, 6))
    assert scene.start(resume=False).wait(300) == 0, scene.output
    assert ends(scene) == [(18, "FAIL", "worker 1: ValueError: unlucky"), (6, "COMPLETE", None)]
    assert "Traceback" not in scene.output
    (place,) = (scene.sweep / "trials").glob("*/traceback.txt")
    assert "raise_an_error" in place.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("part", ["trial", "worker", "controller"])
def test_a_trial_whose_parts_are_killed_ends_with_the_same_numbers(part: str, make_scene: MakeScene) -> None:
    """And frees its CPUs, which the next trial needs, without a dashboard that could tell Ray of it."""
    from killing import PARTS

    scene = make_scene(part, sampler="random", trials=2, workers=2, restarts=3)
    process = scene.start(resume=False, FAKE_SECONDS="0.2")
    scene.wait_for(lambda: bool(scene.rows) and bool(scene.rows[0]["best"]), process)
    assert scene.kill(part, scene.processes(PARTS[part])[:1])
    assert process.wait(600) == 0, scene.output
    check_whole(scene, 2)


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
