"""A tracking server that is killed at random moments, or whose answers are lost: nothing is lost or doubled by it."""

import json
import random
import re
import threading
import time
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
from killing import MakeScene, outcome, torment
from mlflow.entities import ViewType
from restless_server import PlainServer

from moedsr.config import Config
from moedsr_platform.tracking import outbox
from moedsr_platform.tracking.tracker import Tracker

pytestmark = pytest.mark.slow

CONFIG = Config.model_validate_json('{"data": {"source": "mini-atlas"}}')
TRIALS = 3


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PlainServer]:
    server = PlainServer(tmp_path / "server")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    for name in ("config.json", "model.safetensors", "training.pt"):
        (folder / name).write_text("{}")
    (folder / "meta.json").write_text(json.dumps({"step": 3, "store_fingerprint": "f00d", "git_commit": None}))
    return folder


def tell(tracker: Tracker, checkpoint: Path, steps: Iterable[int]) -> list[str]:
    """A sweep of some trials, each step of each handed over for itself; returns the keys of sweep and trials."""
    sweep = tracker.sweep_run("s", {}, {"trials": TRIALS})
    trials = [tracker.trial_run(sweep, f"t{number}", CONFIG, {}) for number in range(TRIALS)]
    for step in steps:
        for number, trial in enumerate(trials):
            tracker.log_history(trial, [(step, {"train/loss": number + 1 / step, "routing/load_0": 0.5})])
            if step % 20 == 0:
                tracker.log_history(trial, [(step, {"val/iou": step / 1000})])
                tracker.log_checkpoint(trial, checkpoint)
    for trial in trials:
        tracker.finish_trial(trial, "COMPLETE")
    tracker.finish_sweep(sweep, "| table |", best_run=trials[0], metrics={"val/iou": 0.5})
    return [sweep, *trials]


def register(tracker: Tracker, run: str, checkpoint: Path) -> None:
    tracker.register(run, checkpoint, model="moe-dsr", alias="candidate", metrics={"val/iou": 0.5})


def check(tracker: Tracker, keys: list[str], *, steps: int) -> None:
    """All of it is there, once and in order."""
    client, (sweep, *trials) = tracker.client, keys
    assert tracker.drain(120)
    runs = client.search_runs([tracker.experiment_id])
    assert sorted(run.info.run_id for run in runs) == sorted(map(tracker.run_id, keys))
    assert {(run.info.status, run.data.tags["moedsr.state"]) for run in runs} == {("FINISHED", "COMPLETE")}
    for number, trial in enumerate(trials):
        run_id = tracker.run_id(trial)
        losses = client.get_metric_history(run_id, "train/loss")
        assert [(point.step, point.value) for point in losses] == [
            (step, number + 1 / step) for step in range(1, steps + 1)
        ]
        assert [point.timestamp for point in losses] == sorted(point.timestamp for point in losses)
        validated = [point.step for point in client.get_metric_history(run_id, "val/iou")]
        assert validated == list(range(20, steps + 1, 20))
        files = {item.path for item in client.list_artifacts(run_id, "checkpoint")}
        assert files == {"checkpoint/config.json", "checkpoint/meta.json", "checkpoint/model.safetensors"}
    assert {item.path for item in client.list_artifacts(tracker.run_id(sweep))} == {"results.md"}
    best = tracker.run_id(trials[0])
    (version,) = client.search_model_versions("name = 'moe-dsr'")
    assert client.get_model_version_by_alias("moe-dsr", "candidate").run_id == version.run_id == best
    assert len(client.search_logged_models([tracker.experiment_id])) == 1


def test_the_first_answer_to_every_request_is_lost(
    server: PlainServer, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server does what it is asked, and the line breaks before it has said so."""
    monkeypatch.setattr(outbox, "PATIENCE", (0.01,))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "5")  # of blind repetitions, which a sweep must not want
    make, lost = urllib3.connectionpool.HTTPConnectionPool._make_request, set()

    def losing(self: Any, connection: Any, method: str, url: str, body: Any = None, **named: Any) -> Any:
        answer = make(self, connection, method, url, body=body, **named)
        # without times, or it would never be the same request again
        what = (method, url, re.sub(r"\d{13}", "", str(body)) if isinstance(body, bytes | str) else "")
        files = sum(method == "PUT" for method, *_ in lost)
        if method == "GET" or what in lost or (method == "PUT" and files == 5):  # a model has a hundred
            return answer
        lost.add(what)
        raise urllib3.exceptions.ProtocolError("Connection aborted.", ConnectionResetError(104, "reset by peer"))

    with Tracker.open(server.uri, folder=tmp_path / "tracking") as tracker:
        with monkeypatch.context() as broken:
            broken.setattr(urllib3.connectionpool.HTTPConnectionPool, "_make_request", losing)
            keys = tell(tracker, checkpoint, range(1, 61))
            register(tracker, keys[1], checkpoint)
            assert tracker.drain(120)
        assert len({(method, url) for method, url, _ in lost}) > 12
        check(tracker, keys, steps=60)


def test_runs_are_made_after_the_server_was_given_up(
    server: PlainServer, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes longer than the time-out, and when it is asked whether there is such a run it has none yet."""
    monkeypatch.setattr(outbox, "PATIENCE", (0.01,))
    make, late = urllib3.connectionpool.HTTPConnectionPool._make_request, dict[str, threading.Timer]()

    def slow(self: Any, connection: Any, method: str, url: str, body: Any = None, **named: Any) -> Any:
        name = json.loads(body)["run_name"] if url.endswith("/runs/create") else None
        if name is None or name in late:
            return make(self, connection, method, url, body=body, **named)
        asked = urllib.request.Request(f"{server.uri}{url}", body, {"Content-Type": "application/json"})
        late[name] = threading.Timer(1.0, urllib.request.urlopen, [asked])
        late[name].start()
        raise urllib3.exceptions.ReadTimeoutError(self, url, "Read timed out.")

    monkeypatch.setattr(urllib3.connectionpool.HTTPConnectionPool, "_make_request", slow)
    with Tracker.open(server.uri, folder=tmp_path / "tracking") as tracker:
        keys = tell(tracker, checkpoint, steps_of(3.0))
        register(tracker, keys[1], checkpoint)
        assert len(late) == len(keys)
        assert not any(timer.is_alive() for timer in late.values())
        check(tracker, keys, steps=60)
        deleted = tracker.client.search_runs([tracker.experiment_id], run_view_type=ViewType.DELETED_ONLY)
        assert len(deleted) == len(keys)


def steps_of(seconds: float) -> Iterator[int]:
    """Sixty, that take so long."""
    for step in range(1, 61):
        time.sleep(seconds / 60)
        yield step


KILLS = 8


@pytest.mark.parametrize("seed", range(2))
def test_a_server_killed_at_random_moments(
    seed: int, server: PlainServer, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "PATIENCE", (0.1,))
    monkeypatch.setattr(outbox, "GATHER_SECONDS", 0.05)  # requests all the time, so that a kill meets one
    told = 0

    def steps() -> Iterator[int]:
        nonlocal told
        while server.kills < KILLS or told % 20:
            time.sleep(0.1)
            told += 1
            yield told

    with Tracker.open(server.uri, folder=tmp_path / "tracking") as tracker:
        with server.restless(random.Random(seed)):
            keys = tell(tracker, checkpoint, steps())
            assert tracker.drain(120)
        register(tracker, keys[1], checkpoint)
        check(tracker, keys, steps=told)


def test_server_and_sweep_are_killed_at_random_moments(make_scene: MakeScene, server: PlainServer) -> None:
    settings = {"sampler": "tpe", "at_once": 1, "trials": 6, "restarts": 100}
    whole, torn = make_scene("whole", **settings), make_scene("torn", **settings)
    assert whole.start(resume=False).wait(600) == 0, whole.output
    torn.environment["MLFLOW_TRACKING_URI"] = server.uri
    chance = random.Random(0)
    process = torn.start(resume=False, FAKE_SECONDS="0.05")
    torn.wait_for(lambda: torn.begun, process)  # until then a server that is away is a reason not to begin
    with server.restless(chance, up=10.0, down=8.0):
        torn.kill("everything", torn.processes())
        process.wait(90)
        torment(torn, chance, ("trial", "driver", "everything", "SIGTERM"), 20.0)
    with Tracker.open(server.uri, folder=torn.sweep / "tracking") as tracker:
        assert tracker.drain(120)
    assert outcome(torn, server.uri) == outcome(whole)
    assert torn.events() == whole.events()
