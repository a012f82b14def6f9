"""What MLflow's UI shows of a sweep before anybody has clicked: its note, and the view that compares its trials."""

import json
from collections.abc import Sequence

from moedsr_platform.display.board import Board, Row
from moedsr_platform.display.verdict import verdict
from moedsr_platform.sweep_file.search_space import describe

ROWS = 20
"""Trials in the note; a note has little room, and ``results.md`` holds them all."""

SPACE = "&nbsp;&nbsp;&nbsp;"
"""Behind a cell: MLflow's UI leaves none between the columns of a note's table."""

VIEW_TAG = "mlflow.sharedViewState."
"""Of an experiment, with a name behind: MLflow's UI opens such a view by ``viewStateShareKey=<name>``."""

PICTURES = ("surfaces/overview.png", "routing/experts.png")
"""Of the best run, shown in the note where the run has them."""

BEST = "best/"
"""Before a score's name: its value at the best validation so far, where the metric itself is the last one."""

BEST_SCORES = ("val/gap_closed", "val/chamfer")
"""Kept so beside the objective."""

MODE = "workflowType=machine_learning"
"""Without it the UI shows what is meant for chat traces."""

SCORES = (f"{BEST}val/gap_closed", "naive/iou", "oracle/iou", f"{BEST}val/chamfer", "routing/max_load")


def sweep_note(board: Board) -> str:
    """How the sweep did, in Markdown: the verdict, and its best trials."""
    best = board.best
    rows = sorted(board.rows.values(), key=lambda row: board.sign * row.best.get(board.metric, -board.sign * 1e9))[::-1]
    head, *cells = ([f"{cell}{SPACE}" for cell in line] for line in (board.header(), *map(board.cells, rows[:ROWS])))
    wide = board.header().index("parameters")  # last, so that the scores are seen first
    lines = [[*line[:wide], *line[wide + 1 :], line[wide]] for line in (head, ["---"] * len(head), *cells)]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    sentence = verdict(best.best, board.metric, board.mode) if best is not None and not board.memorised else None
    more = f"The best {ROWS} of {len(rows)} trials; all of them are in `results.md`." if len(rows) > ROWS else None
    return "\n\n".join(part for part in (sentence, table, more) if part)


def trial_note(board: Board, row: Row) -> str | None:
    """How a trial did, in Markdown, and why it ended early; None where there is nothing to say."""
    sentence = None if board.memorised else verdict(row.best, board.metric, board.mode, "this trial's best model")
    values = describe(row.params)
    return "\n\n".join(part for part in (row.reason, sentence, values and f"Searched: {values}") if part) or None


def comparison_view(run: str, searched: Sequence[str], metric: str, mode: str) -> str:
    """The state of MLflow's table of runs in which the trials of a sweep compare, best first.

    Args:
        run: key of the sweep's run; its trials' keys begin with it.
        searched: dotted configuration keys that differ between the trials.
        metric: the objective.
        mode: ``max`` or ``min``.
    """
    metrics = [f"metrics.`{name}`" for name in dict.fromkeys((f"{BEST}{metric}", *SCORES))]
    params = [f"params.`{key}`" for key in searched]
    return json.dumps(
        {
            "searchFilter": f"tags.`moedsr.run_key` LIKE '{run}/%'",
            "orderByKey": metrics[0],
            "orderByAsc": mode == "min",
            "startTime": "ALL",
            "lifecycleFilter": "Active",
            "datasetsFilter": [],
            "modelVersionFilter": "All Runs",
            "selectedColumns": ["tags.`moedsr.state`", *metrics, *params],
            "runsExpanded": {},
            "runsPinned": [],
            "runsHidden": [],
            "viewMaximized": True,
            "runListHidden": False,
        }
    )


def view_address(experiment_id: str, name: str) -> str:
    """Where the view is, behind the ``#`` of the UI's address."""
    return f"/experiments/{experiment_id}/runs?{MODE}&viewStateShareKey={name}"
