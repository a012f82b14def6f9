"""What MLflow holds after the driver wrote it; a real SQLite store each time."""

import contextlib
import inspect
import json
import shutil
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED

from moedsr.config import Config
from moedsr.errors import InputError
from moedsr_platform.reports.sweep_results import find_sweep, sweep_table
from moedsr_platform.tracking import client as tracking_client
from moedsr_platform.tracking import outbox, run_artifacts
from moedsr_platform.tracking.client import connect
from moedsr_platform.tracking.journal import Request
from moedsr_platform.tracking.run_names import PARENT_TAG
from moedsr_platform.tracking.store import StoreAwayError, check_store, results_folder, store_uri
from moedsr_platform.tracking.tracker import Tracker


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"


@pytest.fixture
def tracker(uri: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tracker]:
    monkeypatch.setattr(outbox, "GATHER_SECONDS", 0.02)
    with Tracker.open(uri, experiment=request.node.name) as opened:
        yield opened


def config(**changes: object) -> Config:
    return Config.model_validate_json(json.dumps({"data": {"source": "mini-atlas"}, **changes}))


def checkpoint(folder: Path) -> Path:
    """A directory that follows the contract; its weights are never read here."""
    folder.mkdir()
    for name in ("config.json", "model.safetensors", "training.pt"):
        (folder / name).write_text("{}")
    (folder / "meta.json").write_text(json.dumps({"step": 3}))
    rows = [{"name": "1crn_A", "split": "train", "gates": [0.75, 0.25], "expert": 0}]
    (folder / "routing.json").write_text(json.dumps({"experts": 2, "step": 3, "proteins": rows}))
    (folder / "surfaces" / "1crn_A").mkdir(parents=True)
    (folder / "surfaces" / "overview.png").write_bytes(b"png")
    return folder


def files(tracker: Tracker, run: str, folder: str | None = None) -> set[str]:
    found = set()
    for item in tracker.client.list_artifacts(tracker.run_id(run), folder):
        found |= files(tracker, run, item.path) if item.is_dir else {item.path}
    return found


def steps(tracker: Tracker, run: str, name: str) -> list[int]:
    return [metric.step for metric in tracker.client.get_metric_history(tracker.run_id(run), name)]


def test_a_sweep_and_its_trials(tracker: Tracker, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("name: s")
    sweep = tracker.sweep_run("s", {"moedsr.sweep_id": "s-1"}, {"trials": 2}, tmp_path / "s.yaml")
    trial = tracker.trial_run(sweep, "t1", config(), {"moedsr.sampler": "tpe"})
    tracker.log_history(trial, [(1, {"train/loss": 2.0}), (2, {"train/loss": 1.0, "val/iou": 0.5})])
    tracker.finish_trial(trial, "PRUNED", "stopped by ASHA at step 2")
    tracker.finish_sweep(sweep, "| trial |\n|--|\n| t1 |", best_run=trial, metrics={"val/iou": 0.5})
    root, key = sweep, trial
    sweep, trial = tracker.run_id(sweep), tracker.run_id(trial)

    run = tracker.client.get_run(trial)
    assert run.data.params["expert.count"] == "4"
    assert run.data.params["training.learning_rate"] == "0.0005"
    assert set(run.data.params) == set(config().flat())
    assert run.data.tags[PARENT_TAG] == sweep
    assert run.data.tags["moedsr.state"] == "PRUNED"
    assert run.data.tags["moedsr.reason"] == "stopped by ASHA at step 2"
    assert (run.data.tags["moedsr.backbone"], run.data.tags["moedsr.expert_kind"]) == ("q_mpnn", "anchored")
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "t1"
    assert steps(tracker, key, "train/loss") == [1, 2]
    assert files(tracker, key) == {"config.yaml"}
    parent = tracker.client.get_run(sweep)
    assert "| t1 |" in parent.data.tags["mlflow.note.content"]
    assert parent.data.tags["moedsr.best_run"] == trial
    assert files(tracker, root) == {"sweep.yaml", "results.md"}


def test_a_resumed_sweep_continues_its_runs(tracker: Tracker, uri: str, tmp_path: Path) -> None:
    name = tracker.experiment
    with Tracker.open(uri, name, folder=tmp_path) as first:
        sweep = first.sweep_run("s", {}, {})
        trial = first.trial_run(sweep, "t1", config(), {})
        first.log_history(trial, [(step, {"train/loss": 1.0, "routing/load_0": 0.5}) for step in (1, 2, 3)])
        first.finish_trial(trial, "FAIL", "worker died")
        ids = first.run_id(sweep), first.run_id(trial)
    with Tracker.open(uri, name, folder=tmp_path) as again:
        assert again.sweep_run("s", {}, {}) == sweep
        assert again.trial_run(sweep, "t1", config(), {}) == trial
        assert (again.run_id(sweep), again.run_id(trial)) == ids
        assert again.client.get_run(ids[1]).info.status == "RUNNING"
        # the worker starts again from its checkpoint at step 2
        again.log_history(trial, [(3, {"train/loss": 9.0}), (4, {"train/loss": 0.5, "val/iou": 0.1})])
        assert again.drain()
        assert steps(again, trial, "train/loss") == [1, 2, 3, 4]
        assert steps(again, trial, "val/iou") == [4]
        runs = again.client.search_runs([again.experiment_id])
        assert len(runs) == 2


def held(tracker: Tracker) -> list[object]:
    """All that the store has of the tracker's experiment."""
    found: list[object] = []
    for run in sorted(tracker.client.search_runs([tracker.experiment_id]), key=lambda run: run.info.run_id):
        found += [run.info.run_id, run.info.status, run.data.params, run.data.tags]
        for name in sorted(run.data.metrics):
            points = tracker.client.get_metric_history(run.info.run_id, name)
            found.append((name, [(point.step, point.value) for point in points]))
        found.append(sorted(Path(run.info.artifact_uri.removeprefix("file://")).rglob("*")))
    return found


def test_sweeps_of_one_name_are_told_apart(tracker: Tracker, uri: str, tmp_path: Path) -> None:
    """Two people sweep the same file into the same server, with the same trial ids."""
    found = set()
    for person in ("ada", "bob"):
        with Tracker.open(uri, tracker.experiment, folder=tmp_path / person) as own:
            sweep = own.sweep_run("quickstart", {}, {})
            found |= {own.run_id(sweep), own.run_id(own.trial_run(sweep, "t", config(), {}))}
    assert len(found) == 4


def test_a_driver_that_is_killed_while_the_store_is_away(
    tracker: Tracker, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it was told stands on disk; the next process sends it in order, with nothing twice."""

    def away(*arguments: object, **named: object) -> None:
        raise ConnectionError("away")

    folder = tmp_path / "tracking"
    killed = Tracker.open(uri, tracker.experiment, folder=folder)
    with monkeypatch.context() as outage:
        outage.setattr(killed._writer, "send", away)
        outage.setattr(killed._outbox, "_send_one", away)
        sweep = killed.sweep_run("s", {}, {})
        trial = killed.trial_run(sweep, "t1", config(), {})
        for step in range(1, 31):
            killed.log_history(trial, [(step, {"train/loss": 1 / step})])
        for number in (1, 2):
            killed.log_checkpoint(trial, checkpoint(tmp_path / f"checkpoint_{number}"))
        assert len(list((folder / "files").iterdir())) == 1  # the later checkpoint took the earlier one's place
        killed._outbox.close(timeout=0.1)  # without what an orderly end would do besides
    with Tracker.open(uri, tracker.experiment, folder=folder) as later:
        assert later.found > 30
        assert later.drain()
        assert steps(later, trial, "train/loss") == list(range(1, 31))
        assert "checkpoint/meta.json" in files(later, trial)
        assert later.client.get_run(later.run_id(trial)).data.tags[PARENT_TAG] == later.run_id(sweep)
    assert not (folder / "files").exists()
    with Tracker.open(uri, tracker.experiment, folder=folder) as last:
        assert last.found == 0


def test_requests_sent_twice_are_carried_out_once(tracker: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer to a request may be lost: the store has done it, and is asked again."""
    send = tracker._writer.send

    def send_twice(request: Request) -> None:
        send(request)
        tracker._runs._run_ids.clear()
        send(request)

    monkeypatch.setattr(tracker._outbox, "_send_one", send_twice)
    sweep = tracker.sweep_run("s", {}, {})
    trial = tracker.trial_run(sweep, "t1", config(), {})
    tracker.log_history(trial, [(step, {"train/loss": 1.0}) for step in (1, 2, 3)])
    tracker.finish_trial(trial, "COMPLETE")
    assert tracker.drain()
    assert steps(tracker, trial, "train/loss") == [1, 2, 3]
    assert len(tracker.client.search_runs([tracker.experiment_id])) == 2


@pytest.mark.parametrize("permitted", [True, False])
def test_runs_that_a_slow_server_makes_after_they_were_made_again_are_removed(
    permitted: bool, tracker: Tracker, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request was given up as lost, and neither it nor its run could be found by then."""
    monkeypatch.setattr(outbox, "PATIENCE", (0.01,))
    client, folder, lost = tracker.client, tmp_path / "tracking", []
    create, delete = MlflowClient.create_run, MlflowClient.delete_run

    def slow(client: MlflowClient, experiment_id: str, **named: Any) -> Run:
        named["start_time"] = time.time_ns() // 1_000_000
        if named["run_name"] not in {other["run_name"] for other in lost}:
            lost.append(named)
            raise ConnectionError("Read timed out.")
        return create(client, experiment_id, **named)

    def refuse(client: MlflowClient, run_id: str) -> None:
        raise MlflowException("no", error_code=PERMISSION_DENIED)

    monkeypatch.setattr(MlflowClient, "create_run", slow)
    monkeypatch.setattr(MlflowClient, "delete_run", delete if permitted else refuse)
    with Tracker.open(uri, tracker.experiment, folder=folder) as first:
        sweep = first.sweep_run("s", {}, {})
        trials = [first.trial_run(sweep, f"t{number}", config(), {}) for number in (1, 2)]
        first.log_history(sweep, [(0, {"val/iou": 0.5})])
        for trial in trials:
            first.log_history(trial, [(1, {"train/loss": 1.0})])
        first.finish_trial(trials[1], "COMPLETE")
        used = {key: first.run_id(key) for key in (sweep, *trials)}
    for named in lost:  # only now, and with the start of the first attempt; the second trial has even ended
        create(client, tracker.experiment_id, **named)
    assert len(lost) == 3
    with Tracker.open(uri, tracker.experiment, folder=folder) as again:
        assert again.sweep_run("s", {}, {}) == sweep
        assert again.trial_run(sweep, "t1", config(), {}) == trials[0]
        again.log_history(trials[0], [(2, {"train/loss": 0.5})])
        again.finish_trial(trials[0], "COMPLETE")
        again.finish_sweep(sweep, "| table |")
        assert {key: again.run_id(key) for key in (sweep, *trials)} == used
        assert steps(again, trials[0], "train/loss") == [1, 2]
    runs = {run.info.run_id: run.info.status for run in client.search_runs([tracker.experiment_id])}
    spare = {} if permitted else dict.fromkeys(runs.keys() - used.values(), "KILLED")
    assert runs == {**dict.fromkeys(used.values(), "FINISHED"), **spare}


def test_after_a_loss_of_power_all_may_be_sent_again(tracker: Tracker, uri: str, tmp_path: Path) -> None:
    """The note of what was sent, and the emptying of the file, never reached the disk."""
    folder = tmp_path / "tracking"
    with Tracker.open(uri, tracker.experiment, folder=folder) as first:
        with first._outbox._changed:  # nothing is taken from the queue, and so from the file, meanwhile
            sweep = first.sweep_run("s", {}, {"trials": 2})
            for number in (1, 2):
                trial = first.trial_run(sweep, f"t{number}", config(), {})
                first.log_history(trial, [(step, {"train/loss": 1 / step}) for step in (1, 2, 3)])
                first.log_checkpoint(trial, checkpoint(tmp_path / f"checkpoint_{number}"))
                first.finish_trial(trial, "COMPLETE" if number == 1 else "FAIL", "why")
            first.finish_sweep(sweep, "| table |", best_run=trial, metrics={"val/iou": 0.5})
            asked = (folder / "requests.jsonl").read_bytes()
        assert first.drain()
        before = held(first)
    assert not (folder / "requests.jsonl").stat().st_size
    (folder / "requests.jsonl").write_bytes(asked)
    (folder / "sent_up_to").unlink()
    with Tracker.open(uri, tracker.experiment, folder=folder) as again:
        assert again.found == asked.count(b"\n")
        assert again.drain()
        assert held(again) == before


def test_what_waits_for_one_store_is_not_sent_to_another(tmp_path: Path) -> None:
    folder = tmp_path / "tracking"
    away = Tracker.open("http://someone:secret@127.0.0.1:1", folder=folder, away=True)
    away.sweep_run("s", {}, {})
    assert not away.close(timeout=0.1)
    assert "secret" not in "".join(path.read_text() for path in folder.iterdir())
    with pytest.raises(InputError, match=r"meant for http://127.0.0.1:1, but the store in use is sqlite"):
        Tracker.open(f"sqlite:///{tmp_path}/mlflow.db", folder=folder)


def test_trials_of_other_sweeps_are_other_runs(tracker: Tracker, uri: str) -> None:
    with Tracker.open(uri, tracker.experiment) as other:
        assert tracker.run_id(tracker.trial_run(None, "t", config(), {})) != other.run_id(
            other.trial_run(None, "t", config(), {})
        )


def test_a_checkpoint_is_kept_though_it_is_deleted_at_once(tracker: Tracker, tmp_path: Path) -> None:
    trial = tracker.trial_run(None, "t", config(), {})
    tracker.log_history(trial, [(1, {"routing/load_0": 0.6, "routing/load_1": 0.4})])
    folder = checkpoint(tmp_path / "checkpoint_000003")
    tracker.log_checkpoint(trial, folder)
    for file in sorted(folder.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    assert tracker.drain()
    assert files(tracker, trial) == {
        "config.yaml",
        *(f"checkpoint/{name}" for name in ("config.json", "model.safetensors", "meta.json", "routing.json")),
        *(f"routing/{name}" for name in ("assignment.csv", "statistics.json", "experts.png", "load.png")),
        "surfaces/overview.png",
    }


def test_missing_and_odd_values_are_stored(tracker: Tracker) -> None:
    trial = tracker.trial_run(None, "t", config(), {"long": "x" * 9000})
    tracker.log_history(trial, [(1, {"val/iou": float("nan"), "train/loss": float("inf")}), (2, {})])
    tracker.log_history(trial, [])
    assert tracker.drain()
    assert steps(tracker, trial, "val/iou") == [1]
    assert tracker.client.get_run(tracker.run_id(trial)).data.params["data.store"] == ""


def test_result_table_from_runs_alone(tracker: Tracker) -> None:
    sweep = tracker.sweep_run("s", {"moedsr.sweep_id": "s-3"}, {})
    for name, count, iou in (("t1", 2, 0.61), ("t2", 4, 0.72), ("t3", 4, None)):
        trial = tracker.trial_run(sweep, name, config(expert={"count": count}), {})
        if iou:
            tracker.log_history(trial, [(5, {"val/iou": iou, "naive/iou": 0.65, "val/gap_closed": -0.5})])
        tracker.finish_trial(trial, "COMPLETE" if iou else "FAIL")
    assert tracker.drain()
    experiment = tracker.client.get_experiment(tracker.experiment_id).name
    table = sweep_table(tracker.client, find_sweep(tracker.client, "s", experiment))
    assert table.columns == ("trial", "state", "count", "IoU", "naive", "gap closed")
    assert table.rows == (
        ("t2", "complete", "4", "0.720", "0.650", "-0.50"),
        ("t1", "complete", "2", "0.610", "0.650", "-0.50"),
        ("t3", "fail", "4", "-", "-", "-"),
    )
    assert "| t2 | complete | 4 |" in table.markdown()
    with pytest.raises(InputError, match=r"no sweep 'q'; sweeps: s"):
        find_sweep(tracker.client, "q", experiment)


def test_no_sweep_yet(tracker: Tracker) -> None:
    with pytest.raises(InputError, match="run `moedsr sweep"):
        find_sweep(tracker.client, None, "unheard of")


def test_many_trackers_meet_an_empty_store(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path / 'new' / 'mlflow.db'}"
    failures: list[Exception] = []

    def meet() -> None:
        try:
            connect(address)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=meet) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("form", ["http://127.0.0.1:{}", "postgresql://user@127.0.0.1:{}/mlflow"])
def test_a_server_that_is_away_is_told_at_once(form: str) -> None:
    start = time.monotonic()
    with pytest.raises(InputError, match=r"tracking server .* does not answer .*MLFLOW_TRACKING_URI"):
        Tracker.open(form.format(closed_port()))
    assert time.monotonic() - start < 10


def test_a_server_that_is_no_mlflow_is_told() -> None:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.raises(InputError, match="refuses to work"):
            Tracker.open(f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        server.server_close()


def test_a_server_that_goes_after_its_first_answer_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    class Healthy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Healthy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ask = tracking_client.new_client

    def gone(address: str) -> object:
        server.shutdown()
        server.server_close()
        return ask(address)

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(tracking_client, "new_client", gone)
    with pytest.raises(StoreAwayError, match="does not answer"):
        connect(f"http://127.0.0.1:{server.server_port}")


@pytest.mark.parametrize(
    ("address", "line"),
    [
        ("mlruns", "tracking address 'mlruns' is not sqlite:///FILE"),
        ("file:///some/mlruns", "is not sqlite:///FILE"),
        ("sqlite:///{folder}", "is a folder, but must be a SQLite file"),
        ("sqlite:///{folder}/text", "is not a SQLite file: move it away"),
        ("sqlite:///{folder}/text/mlflow.db", "text is not a writable folder"),
    ],
)
def test_addresses_that_cannot_work(tmp_path: Path, address: str, line: str) -> None:
    (tmp_path / "text").write_text("no database")
    with pytest.raises(InputError) as raised:
        check_store(address.format(folder=tmp_path))
    assert line in str(raised.value)
    assert "\n" not in str(raised.value)


def test_where_the_store_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MOEDSR_HOME", str(tmp_path))
    assert store_uri() == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.delenv("MOEDSR_HOME")
    monkeypatch.chdir(tmp_path)
    assert results_folder() == tmp_path / "results"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking:5000")
    assert store_uri() == "http://tracking:5000"


def test_the_results_of_a_job_outlive_its_uploaded_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "session" / "runtime_resources" / "working_dir_files" / "_ray_pkg_0123"
    package.mkdir(parents=True)
    monkeypatch.delenv("MOEDSR_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(package)
    assert results_folder() == tmp_path / "home" / "moedsr-results"
    monkeypatch.setenv("MOEDSR_HOME", str(tmp_path / "mine"))
    assert results_folder() == tmp_path / "mine"


def test_looking_up_the_run_of_an_ended_trial_leaves_it_closed(tracker: Tracker) -> None:
    run = tracker.trial_run(None, "ended", config(), {})
    tracker.finish_trial(run, "COMPLETE")
    run_id = tracker.run_id(run)
    assert tracker.trial_run(None, "ended", config(), {}, goes_on=False) == run
    assert tracker.run_id(run) == run_id
    assert tracker.client.get_run(run_id).info.status == "FINISHED"
    assert tracker.trial_run(None, "ended", config(), {}) == run
    assert tracker.run_id(run) == run_id
    assert tracker.client.get_run(run_id).info.status == "RUNNING"


def test_a_store_whose_making_was_killed_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow makes some sixty tables in seconds, one by one; of a part of them it can make nothing any more."""
    store = tmp_path / "mlflow.db"

    class KilledError(Exception):
        pass

    def killed(uri: str) -> None:
        with contextlib.closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as half:
            half.execute("CREATE TABLE metrics (key TEXT)")
        raise KilledError

    monkeypatch.setattr(tracking_client, "_make", inspect.unwrap(tracking_client._make))  # not the copy of other tests
    with monkeypatch.context() as patch:
        patch.setattr(tracking_client, "new_client", killed)
        with pytest.raises(InputError, match="KilledError"):
            connect(f"sqlite:///{store}")
    assert not store.exists()
    assert connect(f"sqlite:///{store}").search_experiments()
    assert {path.name for path in tmp_path.iterdir()} == {"mlflow.db", ".mlflow.db.lock"}


def test_a_checkpoint_that_goes_while_it_is_staged_is_left_out(
    tracker: Tracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its trial has a better one by then."""
    gone, better = checkpoint(tmp_path / "gone"), checkpoint(tmp_path / "better")
    trial = tracker.trial_run(None, "t", config(), {})
    link = run_artifacts._link

    def link_and_lose(file: str, name: str) -> None:
        link(file, name)
        if gone.exists():
            shutil.rmtree(gone)

    with monkeypatch.context() as racing:
        racing.setattr(run_artifacts, "_link", link_and_lose)
        tracker.log_checkpoint(trial, gone)
    tracker.log_checkpoint(trial, gone)
    tracker.drain()
    assert files(tracker, trial) == {"config.yaml"}
    assert not list((tracker.folder / "files").iterdir())
    tracker.log_checkpoint(trial, better)
    tracker.drain()
    assert "checkpoint/model.safetensors" in files(tracker, trial)


def test_an_experiment_that_another_sweep_makes_in_the_same_moment(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = connect(uri)
    look, late = type(client).get_experiment_by_name, []

    def look_too_early(self: object, name: str) -> object:
        if late:
            return look(self, name)
        late.append(client.create_experiment(name))
        return None

    monkeypatch.setattr(type(client), "get_experiment_by_name", look_too_early)
    with Tracker.open(uri, experiment="both", folder=tmp_path) as tracker:
        assert tracker.experiment_id == late[0]
