"""`--resume` of a sweep that has finished: the same table, nothing done again, and a word on what has gone since."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from moedsr.config import Config
from moedsr.errors import JobError
from moedsr_platform.cluster import connection as cluster
from moedsr_platform.display.progress import LineDisplay
from moedsr_platform.sweep.finished import finish, is_done
from moedsr_platform.sweep.folder import SweepFolder, new_folder
from moedsr_platform.sweep.log import SweepLog
from moedsr_platform.sweep.request import Request
from moedsr_platform.sweep.sweep import run_sweep
from moedsr_platform.sweep_file.schema import SweepFile
from moedsr_platform.tracking.tracker import Tracker


def sweep(**changes: object) -> SweepFile:
    base, search = {"data": {"source": "mini-atlas"}}, {"expert.count": {"int": [4, 8]}}
    return SweepFile.model_validate_json(json.dumps({"name": "s", "base": base, "search": search, **changes}))


SWEEP = sweep(trials=2)


@pytest.fixture
def finished(tmp_path: Path, copy_store: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch) -> SweepFolder:
    """A sweep of two trials, the second one the best, with its runs; Ray must not be asked for anything."""
    monkeypatch.setenv("MOEDSR_HOME", str(tmp_path / "results"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(cluster, "connect", None)
    copy_store(tmp_path / "results" / "mlflow.db")
    (tmp_path / "s.yaml").write_text("name: s\n")
    folder = new_folder(SWEEP, tmp_path / "s.yaml")
    log = SweepLog(folder.log)
    with Tracker.open(folder=folder.tracking) as tracker:
        parent = tracker.sweep_run(folder.sweep_id, {}, {})
        for number, score in ((1, 0.5), (2, 0.6)):
            trial = log.trial_id(number)
            (checkpoint := folder.trials / trial / "checkpoint").mkdir(parents=True)
            log.asked(trial, {"expert.count": 3 + number})
            log.validated(trial, 1000, {"val/iou": score}, str(checkpoint))
            log.ended(trial, SWEEP.base.training.steps, None)
            tracker.finish_trial(tracker.trial_run(parent, trial, SWEEP.base, {}), "COMPLETE")
        tracker.finish_sweep(parent, "table")
    finish(folder, SWEEP)
    return folder


def resumed(folder: SweepFolder, capsys: pytest.CaptureFixture[str], sweep: SweepFile = SWEEP) -> list[str]:
    """What is said, behind the table; all files are the same afterwards, but for the one that is locked meanwhile."""
    results = folder.path.parents[1]

    def files() -> dict[Path, bytes]:
        found = (path for path in results.rglob("*") if path.is_file() and path.suffix != ".lock")
        return {path: path.read_bytes() for path in found if path != folder.lock and "mlflow" not in path.name}

    before, runs = files(), runs_of(results)
    run_sweep(Request(sweep=sweep, file=Path("s.yaml"), resume=True), LineDisplay(sys.stdout))
    assert (files(), runs_of(results)) == (before, runs)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "sweep s has finished: nothing is left to be done"
    assert [line.split()[:2] for line in said[3:5]] == [["1", "COMPLETE"], ["2", "COMPLETE"]]
    assert said[6] == "best: trial 2 at step 1000: val/iou 0.6000"
    return said[7:]


def runs_of(results: Path) -> object:
    if not (results / "mlflow.db").exists():
        return None
    from moedsr_platform.tracking.client import connect

    client = connect(create=False)
    return [(run.info.run_id, run.info.end_time, run.data.tags) for run in client.search_runs(["1"])]


def test_nothing_is_done_again(finished: SweepFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert resumed(finished, capsys) == []


def test_what_asks_for_more_is_not_done(finished: SweepFolder) -> None:
    assert is_done(finished, SWEEP)
    assert not is_done(finished, sweep(trials=3))
    assert not is_done(finished, sweep(trials=2, register={"model": "moe-dsr"}))
    (finished.tracking / "requests.jsonl").write_text('999 {"kind": "end", "run": "r"}\n')  # the server was away
    assert not is_done(finished, SWEEP)


def test_deleted_runs_are_named(finished: SweepFolder, capsys: pytest.CaptureFixture[str]) -> None:
    with Tracker.open(folder=finished.tracking) as tracker:
        client = tracker.client
        runs = {run.data.tags.get("moedsr.trial_id", ""): run.info.run_id for run in client.search_runs(["1"])}
    for name, run in runs.items():
        if not name.endswith("-001"):
            client.delete_run(run)
    (line,) = resumed(finished, capsys)
    assert line.startswith("2 of its runs are gone from the tracking store (the sweep's own, trial 2), and with them")


def test_a_store_that_is_gone(finished: SweepFolder, capsys: pytest.CaptureFixture[str]) -> None:
    (finished.path.parents[1] / "mlflow.db").unlink()
    (line,) = resumed(finished, capsys)
    assert line.startswith("its runs cannot be seen: no tracking store at ")


def test_another_store(
    finished: SweepFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:1")
    run_sweep(Request(sweep=SWEEP, file=Path("s.yaml"), resume=True))
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("its runs cannot be seen: they are in sqlite:///")
    assert last.endswith("the store in use is http://127.0.0.1:1: set MLFLOW_TRACKING_URI to the former")


def test_a_checkpoint_that_is_gone(finished: SweepFolder, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(finished.trials)
    (line,) = resumed(finished, capsys)
    assert line.startswith(f"its best checkpoint is gone: {finished.trials}")


def test_one_without_a_result_fails_again(finished: SweepFolder, tmp_path: Path) -> None:
    failing = SweepFile(name="f", base=Config.model_validate_json('{"data": {"source": "mini-atlas"}}'))
    folder = new_folder(failing, tmp_path / "s.yaml")
    log = SweepLog(folder.log)
    log.asked(log.trial_id(1), {})
    log.ended(log.trial_id(1), 0, "out of memory")
    finish(folder, failing)
    with pytest.raises(JobError, match="no trial of f left a model: out of memory; see "):
        run_sweep(Request(sweep=failing, file=Path("f.yaml"), resume=True))
