import math
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from moedsr.batches.protein_input import ProteinInput, collate
from moedsr.config import Config
from moedsr.errors import InputError
from moedsr.evaluation import evaluation as module
from moedsr.evaluation.baselines import BASELINES as TABLE
from moedsr.evaluation.evaluation import Evaluator
from moedsr.evaluation.scores import BASELINES, EnsembleScore, Evaluation, FrameScore
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


def three(protein: str, naive: float, model: float, oracle: float) -> list[FrameScore]:
    return [score(protein, 0, who, value) for who, value in (("naive", naive), ("model", model), ("oracle", oracle))]


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


def test_a_rigid_protein_rules_the_mean_of_ratios_and_not_the_ratio_of_means() -> None:
    evaluation = Evaluation([*three("rigid", 0.900, 0.910, 0.905), *three("mobile", 0.5, 0.5, 0.7)])
    assert evaluation.mean_gap_closed() == pytest.approx(1.0)
    assert evaluation.total_gap_closed() == pytest.approx(0.01 / 0.205)


def test_a_protein_without_a_gap_is_named_and_empties_no_mean() -> None:
    evaluation = Evaluation([*three("still", 0.9, 0.9, 0.89), *three("mobile", 0.5, 0.6, 0.7)])
    assert evaluation.without_gap == ["still"]
    assert evaluation.mean_gap_closed() == pytest.approx(0.5)
    assert math.isfinite(evaluation.tracked()["val/gap_closed"])


def test_skills_run_from_doing_nothing_to_the_ensemble_itself() -> None:
    scores = [
        FrameScore(protein="a", frame=1, time=0.0, predictor=who, values={"iou": 0.5, "energy": value})
        for who, value in (("naive", 0.4), ("model", 0.35), ("ensemble", 0.2))
    ]
    whole = [EnsembleScore(protein="a", predictor="model", values={"rmsip": 0.6}, reliability=[[10, 2.0, 3.0]])]
    evaluation = Evaluation(scores, whole)
    assert evaluation.skill("a", "model", "energy") == pytest.approx(0.25)
    assert evaluation.skill("a", "ensemble", "energy") == pytest.approx(1.0)
    assert evaluation.reliability("model") == [(0.2, 0.3, 1.0)]
    again = Evaluation.from_json(evaluation.to_json())
    assert again.ensemble("a", "model", "rmsip") == 0.6
    head, first, *_ = evaluation.to_csv().splitlines()
    assert head.startswith("protein,predictor,iou,energy,gap_closed,energy_skill")
    assert first.startswith("a,naive,0.5,0.4,")


def test_every_baseline_has_its_place_in_the_tables() -> None:
    assert set(TABLE) == set(BASELINES)


def test_model_beside_baselines(tiny_run: Config, tiny_store: SurfaceStore) -> None:
    names = [name for name in BASELINES if name != "md"]
    evaluator = Evaluator(tiny_store, tiny_store.names("val"), tiny_run, baselines=names, unfitted=True)
    evaluation = evaluator.evaluate(MoEDSR(tiny_run, 2).eval(), {})
    assert set(evaluation.predictors) == {*names, "zero-code", "model"}
    assert evaluation.proteins == ["1gl1_I"]
    naive, oracle = (evaluation.mean(who, "iou") for who in ("naive", "oracle"))
    assert 0.2 < naive < oracle < 1
    assert 0.2 < evaluation.mean("random", "iou") < oracle
    assert (
        evaluation.mean("ensemble", "energy")
        < evaluation.mean("elastic", "energy")
        < evaluation.mean("naive", "energy")
    )
    assert evaluation.mean("naive", "energy") == pytest.approx(1 - naive)
    assert {"random/iou", "val/iou", "val/energy"} <= evaluation.tracked().keys()
    assert not any(name.startswith("zero") for name in evaluation.tracked())
    assert [s for s in evaluation.scores if s.predictor in BASELINES] == list(evaluator.baselines().scores)
    assert all(math.isfinite(value) for s in evaluation.scores for value in s.values.values())


def test_while_training_few_baselines_are_scored(tiny_run: Config, tiny_store: SurfaceStore) -> None:
    evaluation = Evaluator(tiny_store, ["1gl1_I"], tiny_run).evaluate(MoEDSR(tiny_run, 2).eval(), {})
    assert evaluation.predictors == ["naive", "random", "model", "oracle"]
    thorough = Evaluator(tiny_store, ["1gl1_I"], tiny_run, baselines=["naive", "oracle", "ensemble"]).baselines()
    for who in ("naive", "oracle"):
        assert evaluation.mean(who, "iou") == pytest.approx(thorough.mean(who, "iou"), abs=1e-9)


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


def test_a_surface_scored_against_itself(tiny_run: Config, tiny_store: SurfaceStore) -> None:
    """P0 for P0, through the whole path."""
    data = tiny_run.data.model_copy(update={"frames": 0})
    evaluation = tiny_run.evaluation.model_copy(update={"scope": "trained", "grid_stride": 2})
    config = tiny_run.model_copy(update={"data": data, "evaluation": evaluation})
    (naive,) = Evaluator(tiny_store, ["1l2y_A"], config, baselines=["naive"]).baselines().scores
    assert naive.values["iou"] == 1.0
    assert naive.values["chamfer"] == naive.values["energy"] == 0.0
    assert naive.values["normal_consistency_signed"] == pytest.approx(1.0, abs=1e-6)
    assert naive.values["crps"] == pytest.approx(0.0, abs=0.02)  # the probes lie on it, to the store's precision


def test_no_more_truth_is_kept_than_allowed(
    tiny_run: Config, tiny_store: SurfaceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One protein at a time, whatever the number of proteins."""
    monkeypatch.setattr(module, "KEPT_BYTES", 0)
    evaluator = Evaluator(tiny_store, tiny_store.names(), tiny_run)
    before = evaluator.baselines()
    assert len(evaluator._targets) == 1
    monkeypatch.setattr(module, "KEPT_BYTES", 1 << 30)
    assert Evaluator(tiny_store, tiny_store.names(), tiny_run).baselines().scores == before.scores


def test_empty_split(tiny_run: Config, tiny_store: SurfaceStore) -> None:
    with pytest.raises(InputError, match=r"no protein to score; its val split is empty \(train 2, val 1, test 1\)"):
        Evaluator(tiny_store, [], tiny_run)


def test_a_store_without_splits_can_be_scored(tiny_run: Config, tiny_store: SurfaceStore, tmp_path: Path) -> None:
    assert (
        Evaluator(tiny_store, ["1vii_A"], tiny_run, baselines=["naive", "smoothed"]).baselines().mean("smoothed", "iou")
    )
