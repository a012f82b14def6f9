import math
from typing import get_args

import numpy as np
import pytest
import torch

from moedsr.batches.protein_input import ProteinInput, collate
from moedsr.config import Config
from moedsr.errors import InputError
from moedsr.evaluation.evaluation import Evaluator
from moedsr.evaluation.scores import BASELINES, Evaluation, FrameScore
from moedsr.inference.protein_field import ProteinField, UnseenCode, protein_field
from moedsr.models.moedsr import MoEDSR
from moedsr.store.store import SurfaceStore

CODES = get_args(UnseenCode)


def score(protein: str, frame: int, predictor: str, iou: float) -> FrameScore:
    return FrameScore(
        protein=protein,
        frame=frame,
        time=0.0,
        predictor=predictor,
        values={"iou": iou, "chamfer": 0.1, "chamfer_l1": 0.1, "normal_consistency": 0.5, "failed": 0.0},
    )


def test_means_are_over_frames_then_proteins() -> None:
    scores = [score("a", i, "model", 0.9) for i in range(3)] + [score("b", 0, "model", 0.5)]
    scores += [score(p, 0, who, value) for p in "ab" for who, value in (("naive", 0.5), ("oracle", 0.9))]
    evaluation = Evaluation(scores)
    assert evaluation.mean("model", "iou") == pytest.approx(0.7)
    assert evaluation.gap_closed("a") == pytest.approx(1.0)
    assert evaluation.gap_closed("b") == pytest.approx(0.0)
    assert evaluation.mean_gap_closed() == pytest.approx(0.5)
    assert evaluation.tracked()["val/iou"] == pytest.approx(0.7)
    assert Evaluation.from_json(evaluation.to_json()).tracked() == evaluation.tracked()


def test_model_beside_baselines(tiny_run: Config, tiny_store: SurfaceStore) -> None:
    evaluator = Evaluator(tiny_store, tiny_store.names("val"), tiny_run, smoothed=True, unfitted=True)
    evaluation = evaluator.evaluate(MoEDSR(tiny_run, 2).eval(), {})
    assert evaluation.predictors == ["naive", "random", "smoothed", "zero-code", "model", "oracle"]
    assert evaluation.proteins == ["1gl1_I"]
    naive, oracle = (evaluation.mean(who, "iou") for who in ("naive", "oracle"))
    assert 0.2 < naive < oracle < 1
    assert 0.2 < evaluation.mean("random", "iou") < oracle
    assert {"random/iou", "val/iou"} <= evaluation.tracked().keys()
    assert not any(name.startswith("zero") for name in evaluation.tracked())
    assert [s for s in evaluation.scores if s.predictor in BASELINES] == list(evaluator.baselines().scores)
    assert all(math.isfinite(value) for s in evaluation.scores for value in s.values.values())
    again = evaluator.evaluate(MoEDSR(tiny_run, 2).eval(), {})
    assert [s for s in again.scores if s.predictor == "naive"] == [
        s for s in evaluation.scores if s.predictor == "naive"
    ]


def test_a_new_protein_may_have_the_mean_code(tiny_run: Config, tiny_store: SurfaceStore) -> None:
    """Where training drops no codes, a code of zero is as strange as any: the mean stands beside the fitted one."""
    training = tiny_run.training.model_copy(update={"latent_dropout": 0.0})
    model = MoEDSR(tiny_run.model_copy(update={"training": training}), 2).eval()
    with torch.no_grad():
        for parameter in model.experts.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    evaluation = Evaluator(tiny_store, ["1gl1_I"], tiny_run, unfitted=True).evaluate(model, {})
    assert evaluation.predictors == ["naive", "random", "mean-code", "model", "oracle"]
    protein = tiny_store.protein("1gl1_I")
    given, initial, points = ProteinInput.of(protein, tiny_run), protein.frame(0), np.full((1, 3), 0.3)
    values = {code: protein_field(model, given, initial, unseen_code=code)(points, 0.0)[0] for code in CODES}
    assert len(set(values.values())) == 3
    proteins = collate([given], [-1])
    assert values["mean"] == ProteinField(model, proteins, model.codes.table.mean(0)[None])(points, 0.0)[0]
    assert values["zero"] == ProteinField(model, proteins)(points, 0.0)[0]


def test_truth_scores_one_against_itself(tiny_run: Config, tiny_store: SurfaceStore) -> None:
    """Scoring the frame itself through the same path: IoU 1, normals aligned, distances at the sampling floor."""
    data = tiny_run.data.model_copy(update={"frames": 0})
    evaluation = tiny_run.evaluation.model_copy(update={"scope": "trained", "surface_samples": 5000})
    config = tiny_run.model_copy(update={"data": data, "evaluation": evaluation})
    (naive,) = Evaluator(tiny_store, ["1l2y_A"], config).truth("1l2y_A").baselines
    assert naive.values["iou"] == 1.0
    assert naive.values["normal_consistency_signed"] > 0.95
    assert naive.values["chamfer_l1_angstrom"] < 0.3


def test_empty_split(tiny_run: Config, tiny_store: SurfaceStore) -> None:
    with pytest.raises(InputError, match=r"no protein to score; its val split is empty \(train 2, val 1, test 1\)"):
        Evaluator(tiny_store, [], tiny_run)
