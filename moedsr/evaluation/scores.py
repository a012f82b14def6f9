"""Scores of several predictors on several proteins and frames, and their means."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from moedsr.evaluation.baselines import gap_closed

TRACKED = ("iou", "chamfer", "chamfer_l1", "normal_consistency")
BASELINES = ("naive", "random", "smoothed", "oracle")
"""What needs no learning: P0 for every frame, another frame, P0 blurred, the best static surface."""
UNFITTED = {"zero": "zero-code", "mean": "mean-code"}
"""The model where proteins that it never met have a latent code that needs no fit, by evaluation.unseen_code."""
PREDICTORS = ("naive", "random", "smoothed", *UNFITTED.values(), "model", "oracle")
"""In the order in which they are shown."""


@dataclass(frozen=True, kw_only=True)
class FrameScore:
    """One predictor on one frame of one protein."""

    protein: str
    frame: int
    time: float
    predictor: str  # one of PREDICTORS
    values: dict[str, float]  # iou and the fields of moedsr.evaluation.metrics.SurfaceScores


@dataclass(frozen=True)
class Evaluation:
    """All scores of one model and the baselines; means are over frames first, then over proteins."""

    scores: Sequence[FrameScore]

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
        """Mean over proteins of the mean over frames."""
        return float(np.mean([self.protein_mean(protein, predictor, metric) for protein in self.proteins]))

    def gap_closed(self, protein: str, predictor: str = "model") -> float:
        """Share of the way from naive to oracle IoU: 0 is doing nothing, 1 is all that a static surface can know."""
        naive, oracle, own = (self.protein_mean(protein, name, "iou") for name in ("naive", "oracle", predictor))
        return gap_closed(own, naive, oracle)

    def mean_gap_closed(self, predictor: str = "model") -> float:
        """Mean over proteins."""
        return float(np.mean([self.gap_closed(protein, predictor) for protein in self.proteins]))

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
        """Every score, one object a frame and predictor."""
        return json.dumps([asdict(score) for score in self.scores], indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Evaluation":
        """The inverse of ``to_json``."""
        return cls([FrameScore(**row) for row in json.loads(text)])

    def _values(self, protein: str, predictor: str, metric: str) -> list[float]:
        return [s.values[metric] for s in self.scores if s.protein == protein and s.predictor == predictor]
