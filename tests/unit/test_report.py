"""`moedsr report`: from the tracked runs alone."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from moedsr.config import Config
from moedsr_platform.cli import main
from moedsr_platform.tracking.tracker import Tracker


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


def test_a_single_run_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    rows = [{"name": "1crn_A", "split": "train", "gates": [0.75, 0.25]}]
    (checkpoint / "routing.json").write_text(json.dumps({"experts": 2, "step": 3, "proteins": rows}))
    config = Config.model_validate_json('{"data": {"source": "mini-atlas"}}')
    with Tracker.open() as tracker:
        run = tracker.trial_run(None, "t1", config, {"moedsr.sweep_id": "alone"}, name="alone")
        tracker.log_checkpoint(run, checkpoint)
        tracker.finish_trial(run, "COMPLETE")
    for reference in ([], ["alone"]):
        result = CliRunner().invoke(main, ["report", "experts", *reference])
        assert result.exit_code == 0, result.output
        assert "Experts of alone, step 3" in result.stdout
    for command in ("sweep", "table4", "importance"):
        wrong = CliRunner().invoke(main, ["report", command, "alone"])
        assert (wrong.exit_code, wrong.stderr) == (
            2,
            "moedsr: 'alone' is a single run, with nothing to compare: `moedsr report experts alone`\n",
        )
    wrong = CliRunner().invoke(main, ["report", "table1", "it's"])
    assert (wrong.exit_code, wrong.stderr.count("\n")) == (2, 1)
    wrong = CliRunner().invoke(main, ["report", "experts", "other"])
    assert (wrong.exit_code, wrong.stderr.startswith("moedsr: no sweep in")) == (2, True)


def test_scores_are_those_of_the_best_validation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial that became worse again is worth what its kept checkpoint is worth."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    with Tracker.open() as tracker:
        sweep = tracker.sweep_run("s", {"moedsr.objective": "val/iou", "moedsr.mode": "max"}, {})
        for name, seed, scores in (("t1", 0, (0.7, 0.5)), ("t2", 1, (0.6, 0.65))):
            config = Config.model_validate({"data": {"source": "mini-atlas"}, "training": {"seed": seed}})
            run = tracker.trial_run(sweep, name, config, {})
            for step, score in enumerate(scores):
                best = max(scores[: step + 1])
                metrics = {"val/iou": score, "val/chamfer": 1 - score, "naive/iou": 0.4, "best/val/iou": best}
                tracker.log_history(run, [(step, metrics), (5, {"train/loss": 1.0})])
            tracker.finish_trial(run, "COMPLETE")
        tracker.finish_sweep(sweep, "table")
    table = CliRunner().invoke(main, ["report", "sweep", "--csv", str(tmp_path / "t.csv")])
    assert table.exit_code == 0, table.output
    head, *rows = [line.split(",") for line in (tmp_path / "t.csv").read_text().splitlines()]
    assert [(row[0], row[head.index("IoU")]) for row in rows] == [("t1", "0.700"), ("t2", "0.650")]
    grouped = CliRunner().invoke(main, ["report", "by", "training.seed", "--csv", str(tmp_path / "g.csv")])
    assert grouped.exit_code == 0, grouped.output
    first = (tmp_path / "g.csv").read_text().splitlines()[1].split(",")
    assert (first[2], first[4]) == ("0.700", "0.3000")  # IoU and Chamfer of one and the same validation
