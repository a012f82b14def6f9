"""`moedsr report`: from the tracked runs alone."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from moedsr.config import Config
from moedsr_platform.cli import main
from moedsr_platform.tracking import Tracker


@pytest.fixture
def trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The best trial of a finished sweep."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    rows = [
        {"name": "1crn_A", "split": "train", "gates": [0.75, 0.25]},
        {"name": "1vii_A", "split": "test", "gates": [0.0, 1.0]},
    ]
    (checkpoint / "routing.json").write_text(json.dumps({"experts": 2, "step": 3, "proteins": rows}))
    with Tracker.open() as tracker:
        sweep = tracker.sweep_run("s", {}, {})
        config = Config.model_validate_json('{"data": {"source": "mini-atlas"}}')
        run = tracker.trial_run(sweep, "t1", config, {})
        tracker.log_history(run, [(3, {"val/iou": 0.7})])
        tracker.log_checkpoint(run, checkpoint)
        tracker.finish_trial(run, "COMPLETE")
        tracker.finish_sweep(sweep, "table", best_run=run)
        return tracker.run_id(run)


def test_experts_and_sweep(trial: str, tmp_path: Path) -> None:
    files = ["--csv", str(tmp_path / "out" / "e.csv"), "--png", str(tmp_path / "out" / "e.png")]
    for reference in ([], ["s"], [trial]):
        result = CliRunner().invoke(main, ["report", "experts", *reference, *files])
        assert result.exit_code == 0, result.output
    lines = (tmp_path / "out" / "e.csv").read_text().splitlines()
    assert lines == [
        "protein,split,expert,gate 0,gate 1",
        "1crn_A,train,0,0.75,0.25",
        "1vii_A,test,1,0.00,1.00",
    ]
    assert (tmp_path / "out" / "e.png").read_bytes().startswith(b"\x89PNG")
    assert "specialisation" in result.stdout
    assert "Nothing to test" in result.stdout  # as many experts as proteins
    table = CliRunner().invoke(main, ["report", "sweep"])
    assert "t1" in table.stdout
    assert "0.700" in table.stdout
    wrong = CliRunner().invoke(main, ["report", "experts", "q"])
    assert (wrong.exit_code, wrong.stderr) == (2, "moedsr: no sweep 'q'; sweeps: s\n")
