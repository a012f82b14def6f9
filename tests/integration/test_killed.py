"""Sweeps whose parts are killed: after --resume they have what a sweep has that nobody disturbed."""

import contextlib
import itertools
import logging
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
from killing import (
    PARTS,
    RAYLET,
    RESPITE,
    SESSIONS,
    SIGNALS,
    TRIAL,
    MakeScene,
    Scene,
    check_whole,
    kept,
    outcome,
    study,
    torment,
)

log = logging.getLogger(__name__)


def run_undisturbed(scene: Scene) -> float:
    """Seconds that it took."""
    begun, process = time.monotonic(), scene.start(resume=False)
    assert process.wait(600) == 0, scene.output
    return time.monotonic() - begun


def validations(scene: Scene) -> int:
    return sum(event["event"] == "validated" for event in scene.events())


def last_line(scene: Scene) -> str:
    return scene.output.splitlines()[-1]


def client_of(scene: Scene) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(f"sqlite:///{scene.folder / 'results' / 'mlflow.db'}")


def statuses(scene: Scene) -> list[str]:
    client = client_of(scene)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return [run.info.status for run in client.search_runs(experiments)]


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_a_sweep_that_is_killed_and_asked_to_stop_ends_as_one_that_is_not(make_scene: MakeScene) -> None:
    """kill -9 of a trial, of the driver, of everything, and SIGTERM; the search is TPE, one trial at a time."""
    whole, torn = make_scene("whole"), make_scene("torn")
    run_undisturbed(whole)

    process, seen = torn.start(resume=False, FAKE_SECONDS="0.05"), 0
    for what in ("trial", "driver", "SIGTERM", "everything"):
        torn.wait_for(lambda: validations(torn) >= seen + 2, process)  # noqa: B023
        if what == "trial":
            torn.kill(what, torn.processes(TRIAL))
            seen = validations(torn)
            continue
        if what == "SIGTERM":
            process.send_signal(signal.SIGTERM)
            assert process.wait(90) == 128 + signal.SIGTERM
            last = last_line(torn)
            assert last.startswith("moedsr: interrupted; finished trials are kept. Go on with: moedsr sweep ")
            assert {row["state"] for row in torn.rows} == {"COMPLETE", "WAITING"}
        else:
            torn.kill(what, [process.pid] if what == "driver" else torn.processes())
            process.wait(90)
        seen = validations(torn)
        process = torn.start(resume=True, FAKE_SECONDS="0.05")
        if what == "everything":  # two at once: one of them is refused
            rivals = [process, torn.start(resume=True, FAKE_SECONDS="0.05")]
    assert sorted(rival.wait(600) for rival in rivals) == [0, 2], torn.output
    assert "sweep `fake` is being run by " in torn.output
    assert "Traceback" not in torn.output
    assert "(raylet)" not in torn.output  # Ray's page about a lost worker
    assert outcome(torn) == outcome(whole)
    assert torn.events() == whole.events()


def test_asked_to_stop_while_data_is_prepared(make_scene: MakeScene) -> None:
    scene = make_scene("early")
    scene.environment["MOEDSR_CACHE"] = str(scene.folder / "cache")
    process = scene.start(resume=False)
    scene.wait_for(lambda: "preparing 3 proteins" in scene.output, process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(90) == 128 + signal.SIGTERM
    line = r"moedsr: interrupted with \d of 3 proteins prepared; the same command goes on from there"
    assert re.fullmatch(line, last_line(scene))
    assert "Traceback" not in scene.output


@pytest.mark.slow
def test_everything_killed_while_data_is_prepared(make_scene: MakeScene) -> None:
    """Again and again, before there is anything of the sweep; also Ray alone, which is no protein's fault."""
    whole, torn = make_scene("whole", trials=2), make_scene("torn", trials=2)
    stores = []
    for scene in (whole, torn):
        scene.environment["MOEDSR_CACHE"] = str(scene.folder / "cache")
        scene.file.write_text(scene.file.read_text().replace("frames: 4", "frames: 40"))
        stores.append(scene.folder / "cache" / "stores")
    run_undisturbed(whole)

    chance, kept = random.Random(0), dict[Path, int]()
    for number, what in enumerate(("everything", "raylet", "everything", "driver", "everything"), start=1):
        process = torn.start(resume=False)
        torn.wait_for(lambda: torn.output.count("preparing 3 proteins") == number, process)  # noqa: B023
        time.sleep(chance.uniform(0, 2))
        torn.kill(what, [process.pid] if what == "driver" else torn.processes(PARTS[what]))
        assert process.wait(90) == (1 if what == "raylet" else -signal.SIGKILL), torn.output
        assert not torn.begun
        assert not list(stores[1].rglob("manifest.json"))
        assert all(path.stat().st_mtime_ns == made for path, made in kept.items()), "a finished protein was made again"
        kept = {path: path.stat().st_mtime_ns for path in stores[1].rglob("*.safetensors")}
    log.info("%d proteins were kept", len(kept))
    assert "Ray on this machine is gone; finished proteins are kept, the same command goes on" in torn.output
    assert torn.start(resume=False).wait(600) == 0, torn.output
    assert all(path.stat().st_mtime_ns == made for path, made in kept.items())
    contents = [{path.relative_to(store): path.read_bytes() for path in store.rglob("*.*")} for store in stores]
    assert contents[0] == contents[1]
    assert outcome(torn) == outcome(whole)
    assert [path.name for path in (torn.folder / "results" / "sweeps").iterdir()] == ["fake"]


@pytest.mark.slow
def test_a_full_disk_stops_the_sweep_and_no_trial_is_to_blame(make_scene: MakeScene) -> None:
    scene = make_scene("full", sampler="random", trials=2, at_once=1)
    full = scene.folder / "starts.full"
    process = scene.start(resume=False, FAKE_SECONDS="0.1")
    scene.wait_for(lambda: validations(scene) >= 1, process)
    full.touch()
    assert process.wait(120) == 1
    assert "the disk is full: saving " in scene.output
    assert last_line(scene).startswith("moedsr: interrupted; finished trials are kept. Go on with: moedsr sweep ")
    assert not [row for row in scene.rows if row["state"] == "FAIL"]
    full.unlink()
    assert scene.start(resume=True).wait(600) == 0, scene.output
    check_whole(scene, 2)


@pytest.mark.slow
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_a_machine_with_fewer_cores_goes_on_with_fewer_trials_at_once(make_scene: MakeScene) -> None:
    scene = make_scene("less", sampler="random", trials=4, at_once=2)
    process = scene.start(resume=False, FAKE_SECONDS="0.2")
    scene.wait_for(lambda: sum(bool(row["best"]) for row in scene.rows) == 2, process)
    scene.kill("everything", scene.processes())
    process.wait(90)
    core = str(min(os.sched_getaffinity(0)))
    fewer = Scene(scene.file, scene.folder, scene.environment, command=("taskset", "-c", core, *scene.command))
    assert fewer.start(resume=True).wait(600) == 0, scene.output
    assert "4 trials of 40 steps, 1 at a time" in scene.output
    check_whole(scene, 4)
    large = scene.file.read_text().replace("cpus_per_worker: 1", "cpus_per_worker: 2").replace("trials: 4", "trials: 5")
    scene.file.write_text(large)
    assert fewer.start(resume=True).wait(90) == 2
    assert "a trial needs 1 worker with 2 CPU and 0 GPU each, but the cluster has 1 CPU" in scene.output


def test_asked_to_stop_while_ray_starts(make_scene: MakeScene) -> None:
    """Ray has an answer of its own to SIGTERM then, which is to leave without a word."""
    scene = make_scene("starts")
    process = scene.start(resume=False)
    scene.wait_for(lambda: bool(scene.processes(RAYLET)), process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(90) == 128 + signal.SIGTERM
    starts, ends = scene.output.splitlines()[:2]
    assert starts == "starting Ray on this machine"
    assert ends.startswith("moedsr: interrupted; what was prepared is kept. Go on with: moedsr sweep ")


def test_disk_use_is_bounded(make_scene: MakeScene) -> None:
    """Two checkpoints a trial, whatever the number of validations, and nothing else."""
    scene = make_scene("disk", sampler="random", trials=2)
    run_undisturbed(scene)
    for trial in (scene.sweep / "trials").iterdir():
        names = [path.name for path in trial.iterdir()]
        assert 1 <= len(names) <= 2
        assert all(name.startswith("checkpoint_") for name in names)


@pytest.mark.slow
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_parts_of_trials_of_several_workers_killed_while_some_are_stopped_early(make_scene: MakeScene) -> None:
    """Early stopping goes by the order of what it hears."""
    asha = "scheduler: {asha: {grace_steps: 10, reduction_factor: 2}}\n"
    settings = {"sampler": "random", "trials": 3, "restarts": 100, "workers": 2, "rest": asha}
    whole, torn = make_scene("whole", **settings), make_scene("torn", **settings)
    longest = max(20.0, run_undisturbed(whole) / 2)
    kinds = ("trial", "worker", "worker", "controller", "driver", "everything")
    sessions = torment(torn, random.Random(0), kinds, longest, FAKE_SECONDS="0.3")
    log.info("%d sessions, killed: %s", sessions, torn.kills)
    assert {row["state"] for row in whole.rows} == {"COMPLETE", "PRUNED"}
    assert outcome(torn) == outcome(whole)
    assert study(torn) == study(whole)
    assert torn.events() == whole.events()


@pytest.mark.slow
def test_killed_and_stopped_while_the_best_is_registered(
    make_scene: MakeScene, kill_tree: Callable[[Path], int]
) -> None:
    """The last step, again and again; there is one version in the end, and nothing is shown as running in between."""
    scene = make_scene("last", sampler="random", trials=2, rest="register: {model: moe-dsr, alias: candidate}\n")
    chance = random.Random(0)
    for what in ("everything", "driver", "SIGTERM") * 2:
        (scene.sweep / "finished").unlink(missing_ok=True)  # whoever was asked to stop may have come to the end
        said = scene.output.count("\nbest: trial") if scene.begun else 0
        process = scene.start(resume=scene.begun)
        scene.wait_for(lambda: scene.output.count("\nbest: trial") > said, process)  # noqa: B023
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(chance.uniform(0, 4))
        if what == "everything":  # also who closes the runs: the next session sees to it, however early it ends
            kill_tree(scene.folder)
            process.wait(90)
            (scene.sweep / "finished").unlink(missing_ok=True)
            process = scene.start(resume=True)
            scene.wait_for(lambda: bool(scene.processes(RAYLET)), process)
        process.send_signal(signal.SIGKILL if what == "driver" else signal.SIGTERM)
        if process.wait(120) == 128 + signal.SIGTERM:
            line = r"moedsr: interrupted; finished trials are kept\. Go on with: .* --resume"
            assert re.fullmatch(line, last_line(scene))
        wait_until(lambda: "RUNNING" not in statuses(scene))
    assert scene.start(resume=True).wait(600) == 0, scene.output
    check_whole(scene, 2)
    client = client_of(scene)
    (version,) = client.search_model_versions("name = 'moe-dsr'")
    assert client.get_model_version_by_alias("moe-dsr", "candidate").run_id == version.run_id
    experiment = client.get_run(version.run_id).info.experiment_id
    assert len(client.search_logged_models([experiment])) == 1
    assert Path(version.source.removeprefix("file://"), "MLmodel").is_file()
    assert scene.output.count("\nregistered as ") < 7  # some kills came before it was told


@pytest.mark.slow
@pytest.mark.parametrize("parts", [("gcs",), ("raylet",), ("gcs", "raylet")])
def test_ray_killed_after_the_last_trial(parts: tuple[str, ...], make_scene: MakeScene) -> None:
    """Nothing more is asked of it: the table, the best model and the runs are written, and the sweep ends as ever."""
    scene = make_scene("over", sampler="random", trials=2, rest="register: {model: moe-dsr, alias: candidate}\n")
    process = scene.start(resume=False)
    scene.wait_for(lambda: [event["event"] for event in scene.events()].count("ended") == 2, process)
    scene.kill("ray", [pid for part in parts for pid in scene.processes(PARTS[part])])
    assert process.wait(40) == 0, scene.output
    check_whole(scene, 2)
    assert "(raylet)" not in scene.output
    assert "\nbest: trial" in scene.output
    assert "registered as models:/moe-dsr@candidate (version 1)" in scene.output


FROM_THE_FIRST_LINE = """
import os, sys
from moedsr_platform.interruption import at_once, handle
handle(at_once)
open(os.environ["FAKE_LOG"] + ".begun", "w")
import fake_training
fake_training.main(*sys.argv[1:])
"""


@pytest.mark.slow
def test_signals_at_random_moments(make_scene: MakeScene) -> None:
    """Each session ends with one line that says how to go on, whatever it was just doing, and nothing is lost by it."""
    scene = make_scene("signals", sampler="random", trials=2, rest="register: {model: moe-dsr, alias: candidate}\n")
    scene = Scene(scene.file, scene.folder, scene.environment, command=(sys.executable, "-c", FROM_THE_FIRST_LINE))
    begun = Path(scene.environment["FAKE_LOG"] + ".begun")
    chance, longest = random.Random(0), 3.0
    for session in itertools.count():
        assert session < SESSIONS, scene.output
        resume, before = scene.begun, len(scene.output) if session else 0
        begun.unlink(missing_ok=True)
        process = scene.start(resume=resume)
        scene.wait_for(begun.exists, process)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(chance.uniform(0, longest := longest * RESPITE))
        number = getattr(signal, chance.choice(SIGNALS))
        process.send_signal(number)
        code, said = process.wait(60), scene.output[before:].splitlines()
        assert "Exception ignored" not in scene.output
        assert "Traceback" not in scene.output
        if code == 0:
            break
        assert code == 128 + number
        ways = r"; .* Go on with: moedsr sweep .*| with \d of 3 proteins prepared; the same command goes on from there"
        assert re.fullmatch(f"moedsr: interrupted({ways})?", said[-1]), said
        assert not resume or "Go on" not in said[-1] or said[-1].endswith(" --resume")
    log.info("%d sessions", session + 1)
    check_whole(scene, 2)
    assert len(client_of(scene).search_model_versions("name = 'moe-dsr'")) == 1
    assert [path.name for path in scene.sweep.parent.iterdir()] == ["fake"]


EVERY_KIND = ("trial", "trial", "trial", "driver", "raylet", "gcs", "everything", "SIGTERM", "SIGINT", "twice")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("sampler", "at_once"), [("tpe", 1), ("random", 2)])
def test_random_parts_killed_at_random_moments(
    seed: int, sampler: str, at_once: int, make_scene: MakeScene, kill_tree: Callable[[Path], int]
) -> None:
    """One machine, from the first moment on: the data is prepared, and the tracking store made, under blows as well."""
    chance = random.Random(seed)
    settings = {"sampler": sampler, "at_once": at_once, "trials": 6, "restarts": 100}
    whole, torn = make_scene("whole", **settings), make_scene("torn", **settings)
    longest = max(12.0, run_undisturbed(whole) / 2)  # a machine on which all starts slowly is left more time to start
    torn.environment["MOEDSR_CACHE"] = str(torn.folder / "cache")
    sessions = torment(torn, chance, EVERY_KIND, longest)
    log.info("%s, %d at once, seed %d: %d sessions, killed: %s", sampler, at_once, seed, sessions, torn.kills)
    assert outcome(torn) == outcome(whole)
    assert study(torn) == study(whole)
    assert kept(torn) == kept(whole)
    if at_once == 1:
        assert torn.events() == whole.events()
    kill_tree(torn.folder)
    shutil.rmtree(torn.folder)


@pytest.mark.skipif(shutil.which("timeout") is None, reason="needs timeout")
def test_a_signal_to_the_whole_process_group_saves_the_trials(make_scene: MakeScene, tmp_path: Path) -> None:
    """As `timeout` sends it, under a temporary folder that is too long for Ray's sockets."""
    scene = make_scene("group", sampler="random", trials=2)
    long = tmp_path / ("long-" * 20)
    long.mkdir()
    scene.command = ("timeout", "--preserve-status", "600", *scene.command)
    process = scene.start(resume=False, FAKE_SECONDS="0.1", TMPDIR=str(long))
    scene.wait_for(lambda: bool(scene.rows) and bool(scene.rows[0]["best"]), process)
    process.send_signal(signal.SIGTERM)  # which `timeout` passes on to all
    assert process.wait(60) == 143, scene.output
    assert last_line(scene).startswith("moedsr: interrupted; finished trials are kept. Go on with: moedsr sweep ")
    assert "SIGTERM: saving 1 running trial" in scene.output
    assert "GCS" not in scene.output
    scene.command = scene.command[3:]
    assert scene.start(resume=True).wait(600) == 0, scene.output
    check_whole(scene, 2)
