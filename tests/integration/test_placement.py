"""Where trials run: shares of a GPU, several GPUs over nodes, nodes that are only started, failures of every kind."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from killing import MakeScene, Scene, check_whole, outcome
from ray_nodes import RayNodes


@contextmanager
def held(nodes: RayNodes, scene: Scene, gpus: int) -> Iterator["subprocess.Popen[str]"]:
    """Somebody else holds GPUs of the cluster."""
    program = (
        "import ray, time\n"
        f"ray.init(address={nodes.address!r}, log_to_driver=False, logging_level='ERROR')\n"
        f"groups = [ray.util.placement_group([{{'GPU': 1}}]) for _ in range({gpus})]\n"
        "ray.get([group.ready() for group in groups])\n"
        "print('held', flush=True)\ntime.sleep(600)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], env={**scene.environment, **nodes.driver}, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_four_trials_share_one_gpu(make_scene: MakeScene) -> None:
    scene = make_scene("share", sampler="random", trials=4, at_once="auto", gpus=0.25)
    scene.environment["FAKE_SECONDS"] = "0.6"  # four processes start while the first one trains
    with RayNodes(scene.environment, scene.folder) as nodes:
        nodes.add("a", cpus=4, gpus=1)
        process = scene.start(resume=False, **nodes.driver)
        scene.wait_for(lambda: [row["state"] for row in scene.rows] == ["RUNNING"] * 4, process)
        assert process.wait(600) == 0, scene.output
    assert "4 trials of 40 steps, 4 at a time, each 1 worker with 1 CPU and 0.25 GPU each" in scene.output
    check_whole(scene, 4)


@pytest.mark.slow
@pytest.mark.parametrize("free", [4, 5, 7])
def test_trials_of_four_gpus_over_nodes_while_others_hold_some(free: int, make_scene: MakeScene) -> None:
    """The sweep takes the whole cluster for its own, two trials at a time; for one of them there is no room."""
    scene = make_scene("four", sampler="random", trials=2, at_once="auto", gpus=1, workers=4)
    scene.environment["FAKE_SECONDS"] = "0.2"
    with RayNodes(scene.environment, scene.folder) as nodes:
        for name in "abcd":
            nodes.add(name, cpus=2, gpus=2)
        with held(nodes, scene, 8 - free):
            process = scene.start(resume=False, **nodes.driver)
            assert process.wait(600) == 0, scene.output
    assert "2 at a time" in scene.output
    check_whole(scene, 2)


@pytest.mark.slow
def test_what_waits_for_others_says_so_and_goes_on_when_they_are_done(make_scene: MakeScene) -> None:
    scene = make_scene("waits", sampler="random", trials=1, at_once="auto", gpus=1, workers=2)
    with RayNodes(scene.environment, scene.folder) as nodes:
        for name in "ab":
            nodes.add(name, cpus=1, gpus=1)
        with held(nodes, scene, 1):
            process = scene.start(resume=False, **nodes.driver)
            scene.wait_for(lambda: "waiting for resources and workers since 0:1" in scene.output, process)
            assert [row["state"] for row in scene.rows] == ["WAITING"]
        assert process.wait(600) == 0, scene.output
    assert "1 trial waits, each needs 2 workers with 1 CPU and 1 GPU each; `ray status` shows" in scene.output
    check_whole(scene, 1)


@pytest.mark.slow
def test_preparation_that_waits_for_a_machine_says_so(make_scene: MakeScene) -> None:
    scene = make_scene("early", sampler="random", trials=1, more=", grows_to: {machines: 1, cpus: 1, gpus: 0}")
    scene.environment["MOEDSR_CACHE"] = str(scene.folder / "cache")
    with RayNodes(scene.environment, scene.folder) as nodes:
        process = scene.start(resume=False, **nodes.driver)
        scene.wait_for(lambda: "waiting for a machine since 0:1" in scene.output, process)
        assert "3 proteins to prepare, each needs 1 CPU and up to 0." in scene.output
        assert "the cluster has 0 CPU in all; `ray status` shows who holds them" in scene.output
        nodes.add("a", cpus=1)
        assert process.wait(600) == 0, scene.output
    check_whole(scene, 1)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_sweep_starts_on_a_cluster_without_any_gpu(workers: int, make_scene: MakeScene) -> None:
    """Ray's own autoscaler, whose machines are processes here: it starts them for the trials that wait.

    The head prepares the data. This stand-in for a cloud cannot say how much memory its machines have, without which
    the autoscaler starts none for tasks that ask for memory.
    """
    grows = ", grows_to: {machines: 2, cpus: 1, gpus: 1}"
    scene = make_scene("grows", sampler="random", trials=2, at_once="auto", gpus=1, workers=workers, more=grows)
    scene.environment["FAKE_SECONDS"] = "0.1"
    with RayNodes(scene.environment, scene.folder, starts=({"CPU": 1, "GPU": 1}, 2), head_cpus=1) as nodes:
        process = scene.start(resume=False, **nodes.driver)
        assert process.wait(600) == 0, scene.output
    assert f"{2 // workers} at a time" in scene.output
    assert "cluster: 1 CPU and 0 GPU on 1 node, can grow to 2 CPU and 2 GPU on 2 nodes" in scene.output
    check_whole(scene, 2)


def reasons(scene: Scene) -> dict[int, str]:
    """Of the trials that failed, by count; the table, MLflow and what the user reads agree."""
    found, failed = outcome(scene), {}
    for row in found["rows"]:
        count, run = row["params"]["expert.count"], found[f"{row['number']:03d}"]
        if row["state"] == "FAIL":
            assert (run["status"], run["state"], run["reason"]) == ("FAILED", "FAIL", row["reason"])
            assert f"trial {row['number']} failed: {row['reason']}" in scene.output
            assert "\n" not in row["reason"]
            failed[count] = row["reason"]
    return failed


@pytest.mark.slow
def test_a_trial_that_fails_says_why_and_the_rest_goes_on(make_scene: MakeScene) -> None:
    """It raises, diverges, asks for more memory than there is, or is killed again and again."""
    scene = make_scene("fails", sampler="grid", trials=5, search="{expert.count: {grid: [13, 14, 15, 16, 8]}}")
    process = scene.start(resume=False)
    assert process.wait(600) == 0, scene.output
    failed = reasons(scene)
    assert failed.pop(15).startswith("out of memory: ")
    assert failed == {
        13: "ValueError: unlucky",
        14: "the loss is not a number at step 7; try a smaller learning rate",
        16: "its process was lost again and again: killed, out of memory, or its machine went away",
    }
    assert [row["state"] for row in scene.rows] == ["FAIL"] * 4 + ["COMPLETE"]
    starts = [line.split()[0] for line in (scene.folder / "starts.txt").read_text().splitlines()]
    assert starts == ["13", "14", "15", "16", "16", "8"]
    assert "Traceback" not in scene.output


@pytest.mark.slow
def test_ray_ends_a_trial_before_the_machine_runs_out_of_memory(make_scene: MakeScene) -> None:
    """Ray's memory monitor, told that the machine is full when 4 GiB more is in use than now, some of it for Ray."""
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    memory = {name: int(size) / 1024**2 for name, size, *_ in lines}
    scene = make_scene("eats", sampler="grid", trials=2, search="{expert.count: {grid: [17, 8]}}")
    threshold = (memory["MemTotal:"] - memory["MemAvailable:"] + 4) / memory["MemTotal:"]
    scene.environment |= {"RAY_memory_usage_threshold": f"{threshold:.4f}", "RAY_memory_monitor_refresh_ms": "100"}
    process = scene.start(resume=False)
    assert process.wait(600) == 0, scene.output
    assert reasons(scene) == {17: "its process was lost because its machine ran out of memory"}
    assert [row["state"] for row in scene.rows] == ["FAIL", "COMPLETE"]
