"""Scores of several predictors on several proteins and frames, and their means."""

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

TRACKED = ("iou", "chamfer", "chamfer_l1", "normal_consistency", "energy", "brier", "crps")
UNFITTED = {"zero": "zero-code", "mean": "mean-code"}
"""The model where proteins that it never met have a latent code that needs no fit, by evaluation.unseen_code."""
PREDICTORS = (
    *("naive", "smoothed", "random", "jitter", "elastic", "md"),
    *(*UNFITTED.values(), "model"),
    *("replica", "oracle", "ensemble"),
)
"""In the order in which they are shown."""
BASELINES = tuple(name for name in PREDICTORS if name not in (*UNFITTED.values(), "model"))
"""Names of what needs no training, as moedsr.evaluation.baselines has them."""
SKILLS = ("energy", "brier", "crps")
"""Scores of which 0 is what doing nothing has, and 1 what the ensemble itself has as a prediction."""


@dataclass(frozen=True, kw_only=True)
class FrameScore:
    """One predictor on one frame of one protein."""

    protein: str
    frame: int
    time: float
    predictor: str  # one of PREDICTORS
    values: dict[str, float]  # by the names of README's table of scores; none where a score has no value


@dataclass(frozen=True, kw_only=True)
class EnsembleScore:
    """One predictor on all scored frames of one protein."""

    protein: str
    predictor: str
    values: dict[str, float]
    reliability: list[list[float]] = field(default_factory=list)  # as ensemble_scores.reliability


@dataclass(frozen=True)
class Evaluation:
    """All scores of one model and the baselines; means are over frames first, then over proteins."""

    scores: Sequence[FrameScore]
    ensembles: Sequence[EnsembleScore] = ()

    @property
    def proteins(self) -> list[str]:
        return list(dict.fromkeys(score.protein for score in self.scores))

    @property
    def predictors(self) -> list[str]:
        present = {score.predictor for score in self.scores}
        return [name for name in PREDICTORS if name in present]

    def protein_mean(self, protein: str, predictor: str, metric: str) -> float:
        """Mean over the frames of one protein; NaN when that predictor was not scored on it."""
        values = self._values(protein, predictor, metric)
        return float(np.mean(values)) if values else math.nan

    def frame_spread(self, protein: str, predictor: str, metric: str) -> float:
        """Standard deviation over the frames of one protein."""
        return float(np.std(self._values(protein, predictor, metric)))

    def mean(self, predictor: str, metric: str) -> float:
        """Mean over the proteins that have the score of the mean over frames."""
        return _mean([self.protein_mean(protein, predictor, metric) for protein in self.proteins])

    def ensemble(self, protein: str, predictor: str, metric: str) -> float:
        """A score of the ensemble as a whole; NaN where there is none."""
        found = (s for s in self.ensembles if (s.protein, s.predictor) == (protein, predictor))
        return next((s.values.get(metric, math.nan) for s in found), math.nan)

    def ensemble_mean(self, predictor: str, metric: str) -> float:
        """Mean over the proteins that have it."""
        return _mean([self.ensemble(protein, predictor, metric) for protein in self.proteins])

    def gap_closed(self, protein: str, predictor: str = "model") -> float:
        """Share of the way from naive to oracle IoU: 0 is doing nothing, 1 is all that a static surface can know."""
        naive, oracle, own = (self.protein_mean(protein, name, "iou") for name in ("naive", "oracle", predictor))
        return share(own, naive, oracle)

    def mean_gap_closed(self, predictor: str = "model") -> float:
        """Mean over the proteins that have a gap; rigid ones, whose gap is small, weigh most."""
        return _mean([self.gap_closed(protein, predictor) for protein in self.proteins])

    def total_gap_closed(self, predictor: str = "model") -> float:
        """The ratio of means: what is gained over all proteins, of all that there is to gain."""
        scored = [p for p in self.proteins if math.isfinite(self.protein_mean(p, predictor, "iou"))]
        sums = [sum(self.protein_mean(p, name, "iou") for p in scored) for name in ("naive", "oracle", predictor)]
        return share(sums[2], sums[0], sums[1])

    @property
    def without_gap(self) -> list[str]:
        """Proteins whose best static surface is no better than P0: nothing can be closed there."""
        return [p for p in self.proteins if math.isnan(self.gap_closed(p, "naive"))]

    def skill(self, protein: str, predictor: str, metric: str) -> float:
        """One of SKILLS: 0 is what doing nothing has, 1 what the other frames have."""
        naive, best, own = (self.protein_mean(protein, name, metric) for name in ("naive", "ensemble", predictor))
        return share(-own, -naive, -best)  # lower is better

    def mean_skill(self, predictor: str, metric: str) -> float:
        """Mean over the proteins that have it."""
        return _mean([self.skill(protein, predictor, metric) for protein in self.proteins])

    def reliability(self, predictor: str) -> list[tuple[float, float, float]]:
        """Mean predicted frequency of inside, frequency found, and share of the cases, of each bin with any."""
        rows = [np.array(s.reliability) for s in self.ensembles if s.predictor == predictor and s.reliability]
        total = np.sum(rows, axis=0) if rows else np.zeros((0, 3))
        every = total[:, 0].sum() if len(total) else 0.0
        return [(p / n, o / n, n / every) for n, p, o in total.tolist() if n > 0]

    def tracked(self) -> dict[str, float]:
        """Numbers for the tracking store: val/… of the model, and the same of each baseline under its name."""
        named = {"model": "val"} | {name: name for name in BASELINES if name in self.predictors}
        numbers = {
            f"{prefix}/{metric}": self.mean(predictor, metric)
            for predictor, prefix in named.items()
            for metric in TRACKED
        }
        numbers["val/gap_closed"] = self.mean_gap_closed()
        numbers["val/failures"] = self.mean("model", "failed")
        return {name: value for name, value in numbers.items() if math.isfinite(value)}

    def to_json(self) -> str:
        """``frames``: every score of a frame; ``proteins``: every score of a protein. What has no value is left out."""
        rows = {
            key: [asdict(row) | {"values": {k: v for k, v in row.values.items() if math.isfinite(v)}} for row in of]
            for key, of in (("frames", self.scores), ("proteins", self.ensembles))
        }
        return json.dumps(rows, indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Evaluation":
        """The inverse of ``to_json``."""
        rows = json.loads(text)
        return cls(
            [FrameScore(**row) for row in rows["frames"]], tuple(EnsembleScore(**row) for row in rows["proteins"])
        )

    def to_csv(self) -> str:
        """A row for each protein and predictor, and the mean over proteins: every score, and the skills."""
        means = list(dict.fromkeys(name for score in self.scores for name in score.values))
        whole = list(dict.fromkeys(name for score in self.ensembles for name in score.values))
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["protein", "predictor", *means, "gap_closed", *(f"{name}_skill" for name in SKILLS), *whole])
        for protein in self.proteins:
            for predictor in self.predictors:
                row = [self.protein_mean(protein, predictor, name) for name in means]
                row += [self.gap_closed(protein, predictor), *(self.skill(protein, predictor, s) for s in SKILLS)]
                row += [self.ensemble(protein, predictor, name) for name in whole]
                writer.writerow([protein, predictor, *map(_plain, row)])
        for predictor in self.predictors:
            row = [self.mean(predictor, name) for name in means]
            row += [self.mean_gap_closed(predictor), *(self.mean_skill(predictor, s) for s in SKILLS)]
            row += [self.ensemble_mean(predictor, name) for name in whole]
            writer.writerow(["mean", predictor, *map(_plain, row)])
        return text.getvalue()

    def _values(self, protein: str, predictor: str, metric: str) -> list[float]:
        return [
            s.values[metric]
            for s in self.scores
            if s.protein == protein and s.predictor == predictor and metric in s.values
        ]


def share(own: float, naive: float, best: float) -> float:
    """How far `own` is on the way up from `naive` to `best`; NaN where `best` is no better."""
    gap = best - naive
    return (own - naive) / gap if gap > 1e-6 else math.nan


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return float(np.mean(finite)) if finite else math.nan


def _plain(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6g}"
