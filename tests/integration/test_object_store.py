"""Checkpoints in an object store: machines share no folder, and one is lost; the server goes away and returns."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from killing import MakeScene, Scene, check_whole
from ray_nodes import RayNodes
from s3_server import S3Server, s3_server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores"),
]
REFUSES_SECONDS = 60


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[S3Server, str]]:
    with s3_server(monkeypatch) as found:
        yield found


def on_s3(scene: Scene) -> Scene:
    """Its processes know the server."""
    scene.environment |= {key: value for key, value in os.environ.items() if key.startswith("AWS_")}
    return scene


def settings(url: str) -> str:
    return f"checkpoints: {url}/moedsr\nregister: {{model: moe-dsr, alias: candidate}}\n"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_server_that_refuses_for_a_minute_costs_a_pause(
    workers: int, served: tuple[S3Server, str], make_scene: MakeScene
) -> None:
    server, url = served
    scene = on_s3(make_scene("minute", sampler="random", trials=2, workers=workers, rest=settings(url), restarts=0))
    process = scene.start(resume=False, FAKE_SECONDS="0.1")
    scene.wait_for(lambda: bool(scene.rows) and bool(scene.rows[0]["best"]), process)
    server.stop()
    time.sleep(REFUSES_SECONDS)
    server.start()
    assert process.wait(600) == 0, scene.output
    check_whole(scene, 2)
    assert "registered as models:/moe-dsr@candidate (version 1)" in scene.output


def test_two_machines_that_share_no_folder_of_which_one_is_lost(
    served: tuple[S3Server, str], make_scene: MakeScene
) -> None:
    _, url = served
    scene = on_s3(make_scene("apart", sampler="random", trials=2, workers=2, rest=settings(url), restarts=5))
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
    assert "registered as models:/moe-dsr@candidate (version 1)" in scene.output
    assert not list((scene.sweep / "trials").rglob("checkpoint_*"))
    (best,) = (scene.sweep / "best").iterdir()
    assert (best / "meta.json").exists()


def test_workers_follow_machines_that_leave_and_join(make_scene: MakeScene) -> None:
    """Two workers, then one, then two, which end with the numbers of one that had no trouble."""
    scene = make_scene(
        "elastic", sampler="random", trials=1, workers="{min: 1, max: 2}", more=", resize_seconds: 3", restarts=5
    )
    scene.environment["FAKE_SECONDS"] = "2.5"
    with RayNodes(scene.environment, scene.folder) as nodes:
        for name in ("a", "b"):
            nodes.add(name, cpus=1)
        process = scene.start(resume=False, **nodes.driver)
        scene.wait_for(lambda: any(row["best"] for row in scene.rows), process)
        nodes.kill("b")
        scene.wait_for(lambda: _starts(scene) == 2, process)
        nodes.add("c", cpus=1)
        scene.wait_for(lambda: _starts(scene) == 3, process)
        assert process.wait(600) == 0, scene.output
    check_whole(scene, 1)


def _starts(scene: Scene) -> int:
    """How often the training began."""
    return len(Path(scene.environment["FAKE_LOG"]).read_text().splitlines())
