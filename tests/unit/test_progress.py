"""The board of trials, its table, and the plain lines for pipes."""

import io
import json
import time
from pathlib import Path

import pytest

from moedsr_platform.display.board import Board
from moedsr_platform.display.progress import Clock, LineDisplay, LiveDisplay, WaitingNotice, clock, display, result_text


@pytest.fixture
def board() -> Board:
    board = Board(metric="val/iou", mode="max", total=4, steps=100)
    for number in (1, 2, 3):
        board.start(f"t{number}", {"expert.count": 2 * number})
    board.report("t1", 100, {"val/iou": 0.6, "naive/iou": 0.65}, "/c/1")
    board.end("t1", None)
    board.report("t2", 50, {"val/iou": 0.7, "naive/iou": 0.65}, "/c/2")
    board.report("t2", 60, {"val/iou": 0.5}, "/c/2b")
    board.end("t2", None)
    board.end("t3", "worker 0: ValueError: no")
    return board


def test_states_are_those_of_optuna(board: Board) -> None:
    assert [row.state for row in board.rows.values()] == ["COMPLETE", "PRUNED", "FAIL"]
    assert board.done == pytest.approx(3 / 4)


def test_the_best_validation_of_a_trial_counts(board: Board) -> None:
    best = board.best
    assert best is not None
    assert (best.trial_id, best.best_step, best.checkpoint) == ("t2", 50, "/c/2")


def test_mode_min_and_nan() -> None:
    board = Board(metric="val/chamfer", mode="min", total=1, steps=10)
    board.start("a", {})
    assert board.report("a", 1, {"val/chamfer": 0.5}, "/c")
    assert not board.report("a", 2, {"val/chamfer": float("nan")}, "/d")
    assert board.report("a", 3, {"val/chamfer": 0.1}, "/e")
    assert "val/chamfer" in board.header()


def test_a_failed_trial_is_never_the_best() -> None:
    board = Board(metric="val/iou", mode="max", total=1, steps=10)
    board.start("a", {})
    board.report("a", 5, {"val/iou": 0.9}, "/c")
    board.end("a", "lost")
    assert board.best is None


def test_rows_are_saved_for_who_wants_to_read_them(board: Board, tmp_path: Path) -> None:
    board.save(tmp_path / "trials.json")
    rows = json.loads((tmp_path / "trials.json").read_text())
    assert [(row["trial_id"], row["state"]) for row in rows] == [("t1", "COMPLETE"), ("t2", "PRUNED"), ("t3", "FAIL")]
    assert [path.name for path in tmp_path.iterdir()] == ["trials.json"]


def test_waiting_for_resources_is_said_again_and_again_but_ever_more_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    board = Board(metric="val/iou", mode="max", total=4, steps=100)
    waits, runs = board.ask("a", {}), board.ask("b", {})
    stream, now = io.StringIO(), iter(range(1, 1000))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(now)))
    notice = WaitingNotice(LineDisplay(stream), "4 workers with 8 CPU and 1 GPU each")
    for _ in range(120):
        notice.tick([waits, runs])
    lines = stream.getvalue().splitlines()
    assert [line.split(",")[0] for line in lines] == [
        f"waiting for resources and workers since {seconds}: 2 trials wait" for seconds in ("0:10", "0:30", "1:30")
    ]
    assert "each needs 4 workers with 8 CPU and 1 GPU each; `ray status` shows" in lines[0]
    board.start("b", {})
    for _ in range(500):
        notice.tick([waits, runs])
    assert len(stream.getvalue().splitlines()) == 3


def test_the_result_names_every_trial_and_the_reason_of_a_failure(board: Board) -> None:
    text = result_text(board)
    for word in ("COMPLETE", "PRUNED", "FAIL", "count=4", "0.7000", "gap_closed", "naive/iou", "oracle/iou"):
        assert word in text
    assert "trial 3 failed: worker 0: ValueError: no" in text
    assert "best: trial 2 at step 50: val/iou 0.7000, naive/iou 0.6500" in text
    assert board.markdown().count("\n") == 5


def test_lines_for_a_pipe_have_no_control_characters(board: Board) -> None:
    stream = io.StringIO()
    lines = display(stream)
    assert isinstance(lines, LineDisplay)
    lines.start(board)
    row = board.start("t4", {"expert.count": 8})
    lines.update(row, "start")
    for step in (10, 20, 30):
        board.report("t4", step, {}, None)
        lines.update(row, "step")
    board.report("t4", 100, {"val/iou": 0.8}, "/c/4")
    lines.update(row, "validated")
    lines.update(board.end("t4", None), "end")
    text = stream.getvalue()
    assert "\x1b" not in text
    assert "\r" not in text
    assert text.count("\n") == 3  # the steps came too fast after the start to be worth a line
    assert "trial 4 of 4: started, count=8" in text
    assert "trial 4 of 4: COMPLETE, val/iou 0.8000" in text


def test_a_terminal_gets_a_live_table(board: Board) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    live = display(stream)
    assert isinstance(live, LiveDisplay)
    live.start(board)
    live.say("a line above")
    live.stop()
    assert "a line above" in stream.getvalue()
    assert "best so far: trial 2, val/iou 0.7000" in stream.getvalue()


def test_time_left_follows_from_the_work_done(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    board = Board(metric="val/iou", mode="max", total=2, steps=100)
    watch = Clock(board)
    board.start("a", {})
    assert watch.left() is None
    now = 60.0
    board.report("a", 50, {}, None)
    assert watch.left() == pytest.approx(180.0)
    assert (clock(65), clock(3725)) == ("1:05", "1:02:05")


def test_memorisation_is_not_judged_as_prediction(board: Board) -> None:
    assert "doing nothing" in result_text(board)
    board.memorised = True
    assert "scored on the frames that were trained on" in result_text(board)
    assert "doing nothing" not in result_text(board)
