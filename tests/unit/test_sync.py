"""`moedsr sync`: what waits on disk reaches the store, and what cannot is said."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from moedsr.config import Config
from moedsr_platform.cli import main
from moedsr_platform.sweep.folder import SweepFolder
from moedsr_platform.tracking.journal import Journal
from moedsr_platform.tracking.tracker import Tracker


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SweepFolder:
    """A sweep whose server went away before it was told anything."""
    monkeypatch.setenv("MOEDSR_HOME", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = SweepFolder(tmp_path / "sweeps" / "s")
    folder.path.mkdir(parents=True)
    with Tracker.open(folder=folder.tracking) as tracker:
        monkeypatch.setattr(tracker._outbox, "_send_one", _away)
        monkeypatch.setattr(tracker, "close", lambda: tracker._outbox.close(timeout=0.1))
        sweep = tracker.sweep_run("s", {}, {})
        trial = tracker.trial_run(sweep, "t1", Config.model_validate_json('{"data": {"source": "mini-atlas"}}'), {})
        tracker.log_history(trial, [(step, {"train/loss": 1.0}) for step in range(10)])
        tracker.finish_trial(trial, "COMPLETE")
    return folder


def _away(request: object) -> None:
    raise ConnectionError("away")


def test_what_waits_is_sent_once(folder: SweepFolder) -> None:
    done = CliRunner().invoke(main, ["sync"])
    assert done.exit_code == 0, done.output
    assert re.match(r"s: [1-9] requests sent to sqlite:///", done.stdout)
    assert CliRunner().invoke(main, ["sync"]).stdout == "nothing waits to be sent\n"
    with Tracker.open() as tracker:
        (run,) = tracker.client.search_runs([tracker.experiment_id], "tags.`moedsr.trial_id` = 't1'")
        assert len(tracker.client.get_metric_history(run.info.run_id, "train/loss")) == 10
        assert run.info.status == "FINISHED"


def test_a_running_sweep_is_left_alone(folder: SweepFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moedsr_platform.tracking.journal.LOCK_SECONDS", 0.2)
    running = Journal(folder.tracking)
    held = CliRunner().invoke(main, ["sync"])
    running.close()
    assert held.exit_code == 1
    assert "another process is using it" in held.stderr
    assert CliRunner().invoke(main, ["sync"]).exit_code == 0
