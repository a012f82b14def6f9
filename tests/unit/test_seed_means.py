"""Seeds of one point, taken together."""

from moedsr_platform.display.board import Board
from moedsr_platform.display.progress import result_text
from moedsr_platform.display.seed_means import by_point, mean_text


def test_trials_are_grouped_by_all_but_their_seed() -> None:
    trials = [
        {"a": 1, "training.seed": 0},
        {"a": 2, "training.seed": 0},
        {"training.seed": 1, "a": 1},
        {"a": 1, "b": 3},
    ]
    assert by_point(trials, lambda trial: trial) == [[trials[0], trials[2]], [trials[1]], [trials[3]]]


def test_mean_and_sample_standard_deviation() -> None:
    assert mean_text([0.5, 0.7], 3) == "0.600 ± 0.141"
    assert mean_text([0.5], 2) == "0.50"
    assert mean_text([]) == "-"


def board(scores: dict[str, list[float | None]]) -> Board:
    """Points by expert count, a score a seed; None: the trial failed."""
    board = Board(metric="val/iou", mode="max", total=9, steps=10)
    for count, values in scores.items():
        for seed, value in enumerate(values):
            trial = f"{count}-{seed}"
            board.start(trial, {"expert.count": int(count), "training.seed": seed})
            if value is not None:
                board.report(trial, 10, {"val/iou": value, "naive/iou": 0.5}, f"/checkpoint/{trial}")
            board.end(trial, "why" if value is None else None)
    return board


def test_the_best_point_is_that_with_the_best_mean_and_the_best_trial_is_one_of_its_own() -> None:
    found = board({"4": [0.6, 0.9], "8": [0.8, 0.82], "2": [0.1, None]})
    assert [[row.trial_id for row in point] for point in found.points] == [["8-0", "8-1"], ["4-0", "4-1"], ["2-0"]]
    assert found.best is not None
    assert found.best.trial_id == "8-1"
    text = result_text(found)
    assert "mean ± std over seeds, best first:" in text
    assert "count=8: val/iou 0.8100 ± 0.0141, naive/iou 0.5000 ± 0.0000 (2 trials)" in text
    assert "| count=4 | 2 | 0.7500 ± 0.2121 |" in found.markdown()


def test_nothing_is_said_of_seeds_where_there_is_one() -> None:
    found = board({"4": [0.6], "8": [0.8]})
    assert "±" not in result_text(found) + found.markdown()


def test_what_was_stopped_early_is_said_beside_the_mean() -> None:
    found = board({"4": [0.6, 0.9], "8": [0.8, 0.82]})
    found.rows["8-1"].state = "PRUNED"
    assert "naive/iou 0.5000 ± 0.0000 (2 trials, 1 stopped early)" in result_text(found)
    assert "| count=8 | 2, 1 stopped early | 0.8100 ± 0.0141 |" in found.markdown()


def test_of_two_objectives_both_are_shown_and_the_points_to_choose_between() -> None:
    """4 experts are worse and cheaper than 8, 3 as good and as cheap as 4; 2 and 16 lose to another."""
    found = Board(metric="val/iou", mode="max", total=9, steps=10, second=("perf/active_parameters", "min"))
    for count, score, cost in ((2, 0.5, 600.0), (4, 0.7, 400.0), (3, 0.7, 400.0), (8, 0.8, 800.0), (16, 0.8, 1600.0)):
        for seed in (0, 1):
            trial = f"{count}-{seed}"
            found.start(trial, {"expert.count": count, "training.seed": seed})
            found.report(trial, 10, {"val/iou": score, "perf/active_parameters": cost}, f"/checkpoint/{trial}")
            found.end(trial, None)
    assert [[row.trial_id for row in point] for point in found.front] == [
        ["8-0", "8-1"],
        ["4-0", "4-1"],
        ["3-0", "3-1"],
    ]
    text = result_text(found)
    assert "none is better in both val/iou and perf/active_parameters than trials 7 and 8, 3 and 4, 5 and 6" in text
    assert "count=16: perf/active_parameters 1600 ± 0, val/iou 0.8000 ± 0.0000 (2 trials)" in text
    assert found.header()[4:6] == ["perf/active_parameters", "val/iou"]
    assert found.cells(found.rows["8-0"])[4:6] == ["800", "0.8000"]
