"""The paper's tables from tracked runs alone: methods on test proteins (1), what each expert serves (3), and scores
by one key of the configuration (4, and Fig. 3)."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from moedsr.errors import InputError
from moedsr.evaluation.scores import BASELINES, UNFITTED, Evaluation
from moedsr.pictures.scores import write_groups
from moedsr_platform.display.seed_means import SEED
from moedsr_platform.display.tables import NOTHING, Table, number
from moedsr_platform.reports.score_groups import SCORES, ScoreGroup
from moedsr_platform.tracking.evaluation_record import EvaluationRecord
from moedsr_platform.tracking.routing_report import Routing

if TYPE_CHECKING:
    from mlflow.entities import Run

ALL = "all"


def methods_table(records: Sequence[tuple["Run", EvaluationRecord]], split: str) -> Table:
    """Table 1: a row for each protein and method, the baselines among them, then the means.

    Runs that differ in their seed alone are one method.

    Raises:
        InputError: scored on different stores or grids, which cannot be compared.
    """
    for what in ("store_fingerprint", "grid_stride"):
        values = {str(getattr(record, what)) for _, record in records}
        if len(values) > 1:
            raise InputError(
                f"these runs were scored with different {what} ({', '.join(sorted(values))}) and cannot be compared: "
                "run `moedsr evaluate` on all of them with the same --store and --stride"
            )
    methods: dict[str, list[tuple[Evaluation, str]]] = {}
    first = records[0][1].evaluation
    for baseline in BASELINES:
        if baseline in first.predictors:
            methods[baseline] = [(first, baseline)]
    for run, record in records:
        method = _method(run, [other for other, _ in records])
        for predictor, name in {"model": method, **{code: f"{method}, {code}" for code in UNFITTED.values()}}.items():
            if predictor in record.evaluation.predictors:
                methods.setdefault(name, []).append((record.evaluation, predictor))
    rows = [_row(protein, name, seeds) for protein in first.proteins for name, seeds in methods.items()]
    rows += [_all_row(first.proteins, name, seeds) for name, seeds in methods.items()]
    heads = (
        "protein",
        "method",
        "seeds",
        *(part for head, _, _ in SCORES for part in (head, f"± {head}")),
        "gap closed",
    )
    note = (
        "Means over frames, then over proteins. ± of one protein: over its frames; of all: over seeds where there are "
        "several, else over proteins. naive: P0 for every frame; random: another frame; oracle: "
        "the best static surface; zero-code, mean-code: without fitting the latent code on P0."
    )
    return Table(f"Methods on the {split} proteins", heads, tuple(rows), note)


def _method(run: "Run", runs: Sequence["Run"]) -> str:
    """The run's name; runs with the same parameters but the seed share the first one's."""
    own = _without_seed(run)
    same = next(other for other in runs if _without_seed(other) == own)
    return str(same.info.run_name)


def _without_seed(run: "Run") -> dict[str, str]:
    return {key: value for key, value in run.data.params.items() if key != SEED}


Seeds = Sequence[tuple[Evaluation, str]]
"""Evaluation and predictor of each seed of one method."""


def _row(protein: str, method: str, seeds: Seeds) -> tuple[str, ...]:
    cells = []
    for _, metric, digits in SCORES:
        cells += [
            number(float(np.mean([one.protein_mean(protein, who, metric) for one, who in seeds])), digits),
            number(float(np.mean([one.frame_spread(protein, who, metric) for one, who in seeds])), digits),
        ]
    closed = float(np.mean([one.gap_closed(protein, who) for one, who in seeds]))
    return (protein, method, str(len(seeds)), *cells, number(closed, 2))


def _all_row(proteins: Sequence[str], method: str, seeds: Seeds) -> tuple[str, ...]:
    cells = []
    for _, metric, digits in SCORES:
        means = np.array([[one.protein_mean(protein, who, metric) for protein in proteins] for one, who in seeds])
        spread = means.mean(1).std(ddof=1) if len(seeds) > 1 else means[0].std() if len(proteins) > 1 else None
        cells += [number(float(means.mean()), digits), number(spread, digits)]
    closed = float(np.mean([one.mean_gap_closed(who) for one, who in seeds]))
    return (ALL, method, str(len(seeds)), *cells, number(closed, 2))


def specialists_table(routing: Routing) -> Table:
    """Table 3: the proteins that each expert serves first, and how alike their sequences are."""
    aligned, identity = routing.identity
    place_of = {place: row for row, place in enumerate(aligned)}
    rows = []
    for expert in range(routing.gates.shape[1]):
        served = [place for place, chosen in enumerate(routing.experts) if chosen == expert]
        served.sort(key=lambda place: -routing.gates[place, expert])
        inside = [place_of[place] for place in served if place in place_of]
        outside = [row for row in range(len(aligned)) if row not in inside]
        names = ", ".join(routing.names[place] for place in served[:6]) + (", …" if len(served) > 6 else "")
        rows.append((
            str(expert), str(len(served)), names or NOTHING, _percent(_pairs(identity, inside)),
            _percent(identity[np.ix_(inside, outside)].reshape(-1)),
        ))  # fmt: skip
    everyone = _percent(_pairs(identity, list(range(len(aligned)))))
    tested = next((one for one in routing.associations if one.property == "sequence identity"), None)
    note = f"Identity of two proteins whatsoever: {everyone} %. " + (
        f"Within experts less between them: {100 * tested.value:+.1f} points, p = {tested.p_value:.2g} "
        "by random reassignment of the proteins."
        if tested
        else "Too few proteins or experts in use to test whether experts go by sequence."
    )
    heads = ("expert", "proteins", "served first", "identity within, %", "to the others, %")
    return Table("Proteins of each expert, and how alike their sequences are", heads, tuple(rows), note)


def _pairs(identity: np.ndarray, rows: list[int]) -> np.ndarray:
    return identity[np.ix_(rows, rows)][np.triu_indices(len(rows), 1)]


def _percent(values: np.ndarray) -> str:
    return f"{100 * float(values.mean()):.1f}" if len(values) else NOTHING


def groups_table(title: str, key: str, groups: Sequence[ScoreGroup]) -> Table:
    """Table 4 and the numbers of Fig. 3: one row a value of a key, best first where it is no number."""
    rows = []
    for group in groups:
        cells = [part for metric in group.metrics for part in (metric.mean_text, metric.spread_text)]
        rows.append((group.value, str(group.trials), *cells))
    heads = tuple(part for metric in groups[0].metrics for part in (metric.head, f"± {metric.head}")) if groups else ()
    note = (
        "Scores on the validation proteins, at each trial's best validation; mean and standard deviation (n - 1) over "
        "the trials of a value. "
        "naive and oracle: the initial structure for every frame, and the best static surface."
    )
    others = sorted({other for group in groups for other in group.also_varied})
    if others:
        note += f" Trials of one value also differ in {', '.join(others)}."
    return Table(title, (key, "trials", *heads), tuple(rows), note)


def groups_picture(path: Path, title: str, groups: Sequence[ScoreGroup]) -> None:
    """The groups beside each other, the baselines as lines across."""
    own = [group for group in groups if group.value not in BASELINES]
    heads = [metric.head for metric in own[0].metrics]
    write_groups(
        path,
        title=title,
        labels=[group.value for group in own],
        panels=[(head, [group.metrics[place].values for group in own]) for place, head in enumerate(heads)],
        lines=[
            (group.value, [float(np.mean(metric.values)) if metric.values else np.nan for metric in group.metrics])
            for group in groups
            if group.value in BASELINES
        ],
    )


def methods_picture(path: Path, table: Table) -> None:
    """The methods beside each other, a dot a protein."""
    methods = list(dict.fromkeys(row[1] for row in table.rows))
    wanted = [place for place, head in enumerate(table.columns) if place > 2 and not head.startswith("±")]

    def values(method: str, column: int) -> list[float]:
        return [
            float(row[column]) for row in table.rows if row[1] == method and row[0] != ALL and row[column] != NOTHING
        ]

    panels = [(table.columns[column], [values(method, column) for method in methods]) for column in wanted]
    write_groups(path, title=f"{table.title}, a dot a protein", labels=methods, panels=panels)
