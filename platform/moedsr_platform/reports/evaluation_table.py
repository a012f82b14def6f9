"""An evaluation as tables: each predictor as one surface, and as an ensemble."""

import math
from collections.abc import Callable

from moedsr.evaluation.scores import Evaluation
from moedsr_platform.display.tables import Table, number

ALL = "mean"
SURFACES = (
    ("IoU", "iou", 3),
    ("Chamfer", "chamfer", 5),
    ("DSR's", "chamfer_dsr", 5),
    ("Chamfer-L1 Å", "chamfer_l1_angstrom", 3),
    ("normals", "normal_consistency", 3),
)
SKILLS = (("energy", "energy", 3), ("Brier", "brier", 3), ("CRPS Å", "crps", 3))
PARTS = (("CRPS core", "crps_core", 3), ("ends", "crps_ends", 3))
WHOLE = (
    ("RMSF r", "rmsf_correlation", 2),
    ("ratio", "rmsf_ratio", 2),
    ("RMSIP", "rmsip", 2),
    ("cov. overlap", "covariance_overlap", 2),
    ("coverage", "coverage", 2),
    ("precision", "precision", 2),
    ("CPU s", "seconds", 1),
)
SURFACES_NOTE = (
    "Each prediction as one surface: where at least half of its samples are inside. Means over frames, then over "
    "proteins; ± is the spread over the frames of one protein. Chamfer: squared, in units of the protein's scale, and "
    "of the box of DSR's code. gap closed: 0 is doing nothing, 1 the best static surface that has not seen the scored "
    "replica (or frame, where there is one replica)."
)
ENSEMBLES_NOTE = (
    "Energy and Brier scores and CRPS: lower is better; their skills: 0 is doing nothing, 1 the ensemble's other "
    "frames. RMSF: of the surface, against that of the frames. core and ends: without and within six residues of the "
    "chain's ends."
)

Cell = Callable[[str, str], float]
"""Of a protein, or of ALL, and a predictor."""


def surface_table(evaluation: Evaluation, title: str, note: str = "") -> Table:
    """A row for each protein and predictor, then the means."""
    columns = [(head, _mean_of(evaluation, metric), digits) for head, metric, digits in SURFACES]

    def spread(protein: str, predictor: str) -> float:
        return math.nan if protein == ALL else evaluation.frame_spread(protein, predictor, "iou")

    def closed(protein: str, predictor: str) -> float:
        if protein == ALL:
            return evaluation.mean_gap_closed(predictor)
        return evaluation.gap_closed(protein, predictor)

    def total(protein: str, predictor: str) -> float:
        return evaluation.total_gap_closed(predictor) if protein == ALL else math.nan

    columns += [("± IoU", spread, 3), ("gap closed", closed, 2), ("of the sums", total, 2)]
    notes = [SURFACES_NOTE, note]
    failures = evaluation.mean("model", "failed")
    if failures > 0:
        notes.append(f"Empty predictions: {failures:.0%} of the frames.")
    if without := evaluation.without_gap:
        notes.append(
            f"Without a gap, and not in its mean: {len(without)} of {len(evaluation.proteins)} proteins "
            f"({', '.join(without[:5])}{', …' if len(without) > 5 else ''})."
        )
    return _table(evaluation, title, columns, " ".join(filter(None, notes)))


def ensemble_table(evaluation: Evaluation, title: str, note: str = "") -> Table:
    """A row for each protein and predictor, then the means."""
    columns: list[tuple[str, Cell, int]] = []
    for head, metric, digits in SKILLS:
        columns += [(head, _mean_of(evaluation, metric), digits), ("skill", _skill_of(evaluation, metric), 2)]
    columns += [(head, _mean_of(evaluation, metric), digits) for head, metric, digits in PARTS]
    columns += [(head, _whole_of(evaluation, metric), digits) for head, metric, digits in WHOLE]
    return _table(evaluation, title, columns, f"{ENSEMBLES_NOTE} {note}".strip())


def _table(evaluation: Evaluation, title: str, columns: list[tuple[str, Cell, int]], note: str) -> Table:
    shown = [column for column in columns if _has_any(evaluation, column[1])]
    rows = [
        (protein, predictor, *(number(of(protein, predictor), digits) for _, of, digits in shown))
        for protein in (*evaluation.proteins, ALL)
        for predictor in evaluation.predictors
        if protein == ALL or not math.isnan(evaluation.protein_mean(protein, predictor, "iou"))
    ]
    return Table(title, ("protein", "predictor", *(head for head, _, _ in shown)), tuple(rows), note)


def _has_any(evaluation: Evaluation, cell: Cell) -> bool:
    return any(not math.isnan(cell(p, k)) for p in (*evaluation.proteins, ALL) for k in evaluation.predictors)


def _mean_of(evaluation: Evaluation, metric: str) -> Cell:
    def cell(protein: str, predictor: str) -> float:
        if protein == ALL:
            return evaluation.mean(predictor, metric)
        return evaluation.protein_mean(protein, predictor, metric)

    return cell


def _skill_of(evaluation: Evaluation, metric: str) -> Cell:
    def cell(protein: str, predictor: str) -> float:
        if protein == ALL:
            return evaluation.mean_skill(predictor, metric)
        return evaluation.skill(protein, predictor, metric)

    return cell


def _whole_of(evaluation: Evaluation, metric: str) -> Cell:
    def cell(protein: str, predictor: str) -> float:
        if protein == ALL:
            return evaluation.ensemble_mean(predictor, metric)
        return evaluation.ensemble(protein, predictor, metric)

    return cell
