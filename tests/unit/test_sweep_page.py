"""What MLflow's UI shows of a sweep: the note's table and pictures, and the view that compares trials."""

import json
from pathlib import Path

from moedsr.config import Config
from moedsr_platform.display.board import Board
from moedsr_platform.sweep_file.search_space import describe
from moedsr_platform.tracking.run_names import KEY_TAG
from moedsr_platform.tracking.sweep_page import ROWS, SPACE, VIEW_TAG, comparison_view, sweep_note, trial_note
from moedsr_platform.tracking.tracker import Tracker


def board(trials: int) -> Board:
    board = Board(metric="val/iou", mode="max", total=trials, steps=10)
    for number in range(trials):
        name = f"t{number}"
        board.start(name, {"expert.count": number})
        metrics = {"val/iou": number / 100, "naive/iou": 0.5, "oracle/iou": 0.9, "val/gap_closed": 0.1}
        board.report(name, 10, metrics, f"/checkpoints/{number}")
        board.end(name, None)
    return board


def test_the_note_says_how_it_did_and_shows_the_best_first() -> None:
    note = sweep_note(board(3))
    first, rows = note.split("\n\n")
    assert first.startswith("val/iou: doing nothing (P0 for every frame) scores 0.500, the best model 0.020: worse")
    first_cells = [line.split("|")[1].strip().removesuffix(SPACE) for line in rows.splitlines()]
    assert first_cells == ["trial", "---", "3", "2", "1"]


def test_a_long_sweep_fits_into_a_note() -> None:
    note = sweep_note(board(200))
    assert f"The best {ROWS} of 200 trials" in note
    assert len(note) < 8000


def test_trials_without_a_score_come_last() -> None:
    table = board(2)
    table.start("failed", {"expert.count": 9})
    table.end("failed", "worker died")
    assert sweep_note(table).splitlines()[-1].startswith(f"| 3{SPACE} | FAIL{SPACE} |")


def test_a_trials_page_says_how_it_did_and_why_it_ended() -> None:
    table = board(2)
    done, _ = table.rows.values()
    note = trial_note(table, done)
    assert note is not None
    assert "P0 for every frame) scores 0.500, this trial's best model" in note
    assert note.endswith(f"Searched: {describe(done.params)}")
    table.start("failed", {})
    failed = table.end("failed", "worker died")
    assert trial_note(table, failed) == "worker died"


def test_the_view_holds_the_trials_of_one_sweep(tmp_path: Path) -> None:
    """MLflow reads the state as JSON; its filter finds this sweep's trials and no others."""
    config = Config.model_validate_json('{"data": {"source": "mini-atlas"}}')
    for name in ("a", "b"):
        with Tracker.open(f"sqlite:///{tmp_path / 'mlflow.db'}", folder=tmp_path / name) as tracker:
            sweep = tracker.sweep_run("s", {}, {}, searched=("expert.count", "loss.normal_weight"))
            tracker.trial_run(sweep, f"{name}1", config, {})
            tracker.drain()
            experiment = tracker.client.get_experiment(tracker.experiment_id)
            client = tracker.client
    state = json.loads(experiment.tags[f"{VIEW_TAG}{sweep}"])
    assert "params.`loss.normal_weight`" in state["selectedColumns"]
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`best/val/iou`", False)
    (run,) = client.search_runs([experiment.experiment_id], state["searchFilter"])
    assert run.data.tags["moedsr.trial_id"] == "b1"
    assert run.data.tags[KEY_TAG].startswith(sweep)


def test_smaller_may_be_better() -> None:
    state = json.loads(comparison_view("k", (), "val/chamfer", "min"))
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`best/val/chamfer`", True)


def test_the_note_shows_the_pictures_that_the_best_run_has(tmp_path: Path) -> None:
    config = Config.model_validate_json('{"data": {"source": "mini-atlas"}}')
    checkpoint = tmp_path / "checkpoint"
    (checkpoint / "surfaces").mkdir(parents=True)
    (checkpoint / "surfaces" / "overview.png").write_bytes(b"png")
    with Tracker.open(f"sqlite:///{tmp_path / 'mlflow.db'}") as tracker:
        dashboard = {"moedsr.ray_dashboard": "http://127.0.0.1:8265/#/jobs/j"}
        sweep = tracker.sweep_run("s", dashboard, {})
        trial = tracker.trial_run(sweep, "t", config, {})
        tracker.log_checkpoint(trial, checkpoint)
        tracker.finish_trial(trial, "COMPLETE", note="how it did")
        tracker.finish_sweep(sweep, "table", note="verdict", best_run=trial)
        best = tracker.run_id(trial)
        note, own = (
            tracker.client.get_run(tracker.run_id(run)).data.tags["mlflow.note.content"] for run in (sweep, trial)
        )
    assert f"](get-artifact?run_uuid={best}&path=surfaces%2Foverview.png)" in note
    assert "routing" not in note
    assert "[Ray dashboard](http://127.0.0.1:8265/#/jobs/j)" in note
    assert f"viewStateShareKey={sweep}" in note
    assert "\n\nverdict\n\n" in note
    assert f"runs/{best}?" in note
    assert f"![surfaces/overview.png](get-artifact?run_uuid={best}&path=surfaces%2Foverview.png)" in own
    assert f"viewStateShareKey={sweep}" in own
    assert f"runs/{best}?" not in own  # it is the best trial's own page
