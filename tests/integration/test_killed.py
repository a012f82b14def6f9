"""Sweeps whose parts are killed: after --resume they have what a sweep has that nobody disturbed."""

import logging
import os
import random
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from killing import TRIAL, MakeScene, Scene, kept, outcome, study, torment

from moedsr_platform.sweep_lock import only_here

log = logging.getLogger(__name__)


def run_undisturbed(scene: Scene) -> None:
    process = scene.start(resume=False)
    assert process.wait(600) == 0, scene.output


def validations(scene: Scene) -> int:
    return sum(event["event"] == "validated" for event in scene.events())


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
            assert process.wait(90) == 1
            last = torn.output.splitlines()[-1]
            assert last.startswith("interrupted; finished trials are kept. Go on with: moedsr sweep ")
            assert {row["state"] for row in torn.rows} == {"COMPLETE", "WAITING"}
        else:
            torn.kill(what, [process.pid] if what == "driver" else torn.processes())
            process.wait(90)
        seen = validations(torn)
        process = torn.start(resume=True, FAKE_SECONDS="0.05")
    assert process.wait(600) == 0, torn.output
    assert "Traceback" not in torn.output
    assert outcome(torn) == outcome(whole)
    assert torn.events() == whole.events()

    with only_here(torn.sweep / "lock", "fake"):
        assert torn.start(resume=True).wait(90) == 2
    assert f"sweep `fake` is being run by process {os.getpid()} on " in torn.output


def test_asked_to_stop_while_data_is_prepared(make_scene: MakeScene) -> None:
    scene = make_scene("early")
    scene.environment["MOEDSR_CACHE"] = str(scene.folder / "cache")
    process = scene.start(resume=False)
    scene.wait_for(lambda: "preparing 3 proteins" in scene.output, process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(90) == 1
    line = r"interrupted with \d of 3 proteins prepared; the same command goes on from there"
    assert re.fullmatch(line, scene.output.splitlines()[-1])
    assert "Traceback" not in scene.output


def test_disk_use_is_bounded(make_scene: MakeScene) -> None:
    """Two checkpoints a trial, whatever the number of validations; nothing else grows but the reports."""
    scene = make_scene("disk", sampler="random", trials=2)
    run_undisturbed(scene)
    for trial in (scene.sweep / "trials").iterdir():
        assert sum(path.name.startswith("checkpoint_") for path in trial.iterdir()) <= 2
        assert {path.name for path in trial.iterdir() if path.is_file()} == {"lock", "owner", "reports.jsonl"}


EVERY_KIND = ("trial", "trial", "trial", "driver", "raylet", "gcs", "everything", "SIGTERM", "SIGINT", "twice")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("sampler", "at_once"), [("tpe", 1), ("random", 2)])
def test_random_parts_killed_at_random_moments(
    seed: int, sampler: str, at_once: int, make_scene: MakeScene, kill_tree: Callable[[Path], int]
) -> None:
    """One machine, from the first moment on: the data is prepared, and the tracking store made, under blows as well."""
    chance = random.Random(seed)
    settings = {"sampler": sampler, "at_once": at_once, "trials": 10, "restarts": 100}
    whole, torn = make_scene("whole", **settings), make_scene("torn", **settings)
    run_undisturbed(whole)
    torn.environment["MOEDSR_CACHE"] = str(torn.folder / "cache")
    sessions = torment(torn, chance, EVERY_KIND)
    log.info("%s, %d at once, seed %d: %d sessions, killed: %s", sampler, at_once, seed, sessions, torn.kills)
    assert outcome(torn) == outcome(whole)
    assert study(torn) == study(whole)
    assert kept(torn) == kept(whole)
    assert "Traceback" not in torn.output
    if at_once == 1:
        assert torn.events() == whole.events()
    kill_tree(torn.folder)
    shutil.rmtree(torn.folder)
