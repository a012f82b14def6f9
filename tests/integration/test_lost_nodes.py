"""One of several nodes is lost under a running sweep: its trials go on elsewhere from their last checkpoints."""

from collections.abc import Callable
from pathlib import Path

import pytest
from killing import MakeScene, Scene, check_whole
from ray_nodes import RayNodes

pytestmark = pytest.mark.slow


def begun(scene: Scene) -> list[tuple[int, int]]:
    """Count and first step of each start of a trial."""
    lines = Path(scene.environment["FAKE_LOG"]).read_text().splitlines()
    return [(int(count), int(step)) for count, _, step in map(str.split, lines)]


@pytest.mark.parametrize("lose", [RayNodes.kill_raylet, RayNodes.kill])
def test_trials_of_one_worker_go_on_on_the_other_node(
    make_scene: MakeScene, lose: Callable[[RayNodes, str], None]
) -> None:
    scene = make_scene("one", sampler="random", trials=4, at_once=2)
    scene.environment["FAKE_SECONDS"] = "0.4"  # of the trials, whose environment is that of their nodes
    with RayNodes(scene.environment, scene.folder) as nodes:
        nodes.add("a", cpus=1)
        nodes.add("b", cpus=1)
        process = scene.start(resume=False, **nodes.driver)
        # both have trials, both of which have validated
        scene.wait_for(lambda: sum(bool(row["best"]) for row in scene.rows) == 2, process)
        lose(nodes, "b")
        assert process.wait(600) == 0, scene.output
    check_whole(scene, 4)
    assert len(begun(scene)) == 5
    (gone_on,) = [step for _, step in begun(scene) if step]
    assert gone_on in (10, 20, 30)


def test_trials_of_several_workers_go_on_on_the_nodes_that_are_left(make_scene: MakeScene) -> None:
    """Each trial has a worker on two nodes; one node is lost, and another takes its place later."""
    scene = make_scene("two", sampler="random", trials=2, at_once=1, workers=2)
    scene.environment["FAKE_SECONDS"] = "0.4"  # of the trials, whose environment is that of their nodes
    with RayNodes(scene.environment, scene.folder) as nodes:
        for name in ("a", "b"):
            nodes.add(name, cpus=1)
        process = scene.start(resume=False, **nodes.driver)
        scene.wait_for(lambda: any(row["best"] for row in scene.rows), process)
        nodes.kill("b")
        nodes.add("c", cpus=1)
        assert process.wait(600) == 0, scene.output
    check_whole(scene, 2)
    assert any(step for _, step in begun(scene))
