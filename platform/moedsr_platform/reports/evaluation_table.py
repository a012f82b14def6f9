"""An evaluation as a table: for each protein the model beside doing nothing and the best static surface."""

from moedsr.evaluation.scores import Evaluation
from moedsr_platform.display.tables import Table, number

METRICS = (
    ("IoU", "iou", 3),
    ("Chamfer", "chamfer", 5),
    ("Chamfer-L1", "chamfer_l1", 4),
    ("normals", "normal_consistency", 3),
)
ALL = "mean"
NOTE = (
    "Means over frames, then over proteins; ± is the spread over the frames of one protein. Chamfer in units of "
    "the protein's scale. naive: the initial structure for every frame; random: another frame; smoothed: the "
    "initial structure, blurred; oracle: the best static surface; zero-code, mean-code: the model with no latent code "
    "fitted on the initial structure. gap closed: 0 is doing nothing, 1 all that a static surface can know."
)


def evaluation_table(evaluation: Evaluation, title: str) -> Table:
    """A row for each protein and predictor, then the means."""
    rows = [
        _row(evaluation, protein, predictor) for protein in evaluation.proteins for predictor in evaluation.predictors
    ]
    rows += [_mean_row(evaluation, predictor) for predictor in evaluation.predictors]
    heads = ("protein", "predictor", *(head for head, _, _ in METRICS), "± IoU", "gap closed")
    failures = evaluation.mean("model", "failed")
    note = f"{NOTE} Empty predictions: {failures:.0%} of the frames." if failures > 0 else NOTE
    return Table(title, heads, tuple(rows), note)


def _row(evaluation: Evaluation, protein: str, predictor: str) -> tuple[str, ...]:
    scores = (number(evaluation.protein_mean(protein, predictor, metric), digits) for _, metric, digits in METRICS)
    spread = number(evaluation.frame_spread(protein, predictor, "iou"))
    return (protein, predictor, *scores, spread, number(evaluation.gap_closed(protein, predictor), 2))


def _mean_row(evaluation: Evaluation, predictor: str) -> tuple[str, ...]:
    scores = (number(evaluation.mean(predictor, metric), digits) for _, metric, digits in METRICS)
    return (ALL, predictor, *scores, "", number(evaluation.mean_gap_closed(predictor), 2))
