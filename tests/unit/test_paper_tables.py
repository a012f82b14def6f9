"""The paper's tables from runs alone."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from moedsr.config import Config
from moedsr.errors import InputError
from moedsr.evaluation.scores import Evaluation, FrameScore
from moedsr_platform.cli import main
from moedsr_platform.reports.paper_tables import specialists_table
from moedsr_platform.reports.score_groups import group_scores
from moedsr_platform.reports.sweep_results import find_sweep, sweep_table
from moedsr_platform.tracking.evaluation_record import EvaluationRecord
from moedsr_platform.tracking.routing_report import Routing
from moedsr_platform.tracking.tracker import Tracker

BASELINES = {"naive": 0.5, "oracle": 0.7}


def evaluation(iou: float, proteins: tuple[str, ...] = ("1abc_A", "2xyz_B")) -> Evaluation:
    """The second protein is scored a tenth higher, the second frame two hundredths."""
    return Evaluation([
        FrameScore(
            protein=protein,
            frame=frame,
            time=0.0,
            predictor=predictor,
            values={
                "iou": value + 0.1 * place + 0.02 * frame,
                "chamfer": 0.01,
                "chamfer_l1": 0.05,
                "normal_consistency": 0.6,
                "failed": 0.0,
            },
        )
        for place, protein in enumerate(proteins)
        for predictor, value in {**BASELINES, "model": iou}.items()
        for frame in range(2)
    ])  # fmt: skip


def config(backbone: str = "q_mpnn", seed: int = 0, experts: int = 4) -> Config:
    return Config.model_validate_json(json.dumps({
        "data": {"source": "mini-atlas"}, "router": {"backbone": backbone}, "training": {"seed": seed},
        "expert": {"count": experts},
    }))  # fmt: skip


class Store:
    """A sweep over two backbones with two seeds each, all evaluated on the test split."""

    def __init__(self, folder: Path) -> None:
        self.uri = f"sqlite:///{folder / 'mlflow.db'}"
        keys: list[str] = []
        with Tracker.open(self.uri) as tracker:
            sweep = tracker.sweep_run("s", {}, {})
            for place, (backbone, seed, iou) in enumerate(
                [("q_mpnn", 0, 0.62), ("q_mpnn", 1, 0.58), ("dmasif", 0, 0.55), ("dmasif", 1, 0.55)]
            ):
                run = tracker.trial_run(sweep, f"t{place}", config(backbone, seed), {})
                metrics = {"val/iou": iou, "val/chamfer": 0.02, "naive/iou": 0.5, "oracle/iou": 0.7}
                tracker.log_history(run, [(3, metrics)])
                tracker.finish_trial(run, "COMPLETE")
                keys.append(run)
            tracker.finish_sweep(sweep, "table", best_run=keys[0])
            self.runs = [tracker.run_id(key) for key in keys]
            self.client = tracker.client
        for run, iou in zip(self.runs, (0.62, 0.58, 0.55, 0.55), strict=True):
            self.record(iou).log(self.client, run)

    @staticmethod
    def record(iou: float, stride: int = 1) -> EvaluationRecord:
        return EvaluationRecord(split="test", store_fingerprint="f00d", grid_stride=stride, evaluation=evaluation(iou))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("tables"))


@pytest.fixture(autouse=True)
def _in_use(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)


def report(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["report", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def csv_rows(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_table4_has_mean_and_spread_of_each_backbone(tmp_path: Path, store: Store) -> None:
    output = report("table4", "--csv", str(tmp_path / "t.csv"), "--png", str(tmp_path / "new" / "t.png"))
    rows = csv_rows(tmp_path / "t.csv")
    assert rows[0][:4] == ["router.backbone", "trials", "IoU", "± IoU"]
    assert [row[:4] for row in rows[1:]] == [
        ["q_mpnn", "2", "0.600", "0.028"], ["dmasif", "2", "0.550", "0.000"],
        ["naive", "4", "0.500", "0.000"], ["oracle", "4", "0.700", "0.000"],
    ]  # fmt: skip
    assert "q_mpnn" in output
    assert (tmp_path / "new" / "t.png").read_bytes().startswith(b"\x89PNG")
    sweep = store.client.get_run(store.runs[0]).data.tags["mlflow.parentRunId"]
    kept = {file.path for file in store.client.list_artifacts(sweep, "report")}
    assert kept == {"report/router.backbone.csv", "report/router.backbone.png"}


def test_a_key_that_nobody_varied_has_one_group(tmp_path: Path) -> None:
    report("figure3", "s", "--csv", str(tmp_path / "t.csv"))
    rows = csv_rows(tmp_path / "t.csv")
    assert rows[1][:3] == ["4", "4", "0.575"]
    assert "also differ in router.backbone" in report("figure3", "s")


def test_an_unknown_key_is_named() -> None:
    wrong = CliRunner().invoke(main, ["report", "by", "expert.cout"])
    assert wrong.exit_code == 2
    assert "no parameter 'expert.cout'" in wrong.stderr
    assert "expert.count" in wrong.stderr


def test_table1_of_the_best_trial_stands_beside_the_baselines(tmp_path: Path) -> None:
    report("table1", "--csv", str(tmp_path / "t.csv"), "--png", str(tmp_path / "t.png"))
    rows = csv_rows(tmp_path / "t.csv")
    found = {(row[0], row[1].split(":")[0]): row for row in rows[1:]}
    assert found["1abc_A", "t0"][3:5] == ["0.630", "0.010"]
    assert found["all", "t0"][3:5] == ["0.680", "0.050"]
    assert float(found["all", "naive"][-1]) == 0
    assert float(found["all", "oracle"][-1]) == 1
    assert float(found["all", "t0"][-1]) == pytest.approx(0.6)
    assert (tmp_path / "t.png").exists()


def test_table1_takes_runs_that_differ_in_their_seed_for_one_method(store: Store, tmp_path: Path) -> None:
    report("table1", *store.runs, "--csv", str(tmp_path / "t.csv"))
    totals = {row[1].split(":")[0]: row for row in csv_rows(tmp_path / "t.csv") if row[0] == "all"}
    assert set(totals) == {"naive", "oracle", "t0", "t2"}
    assert totals["t0"][2:5] == ["2", "0.660", "0.028"]  # over seeds
    assert totals["t2"][2] == "2"


def test_table1_refuses_what_cannot_be_compared(store: Store) -> None:
    store.record(0.6, stride=2).log(store.client, store.runs[3])
    wrong = CliRunner().invoke(main, ["report", "table1", *store.runs])
    store.record(0.55).log(store.client, store.runs[3])
    assert wrong.exit_code == 2
    assert "different grid_stride (1, 2)" in wrong.stderr


def test_table1_says_how_to_score(store: Store) -> None:
    wrong = CliRunner().invoke(main, ["report", "table1", "s", "--split", "val"])
    assert (wrong.exit_code, wrong.stderr) == (2, "moedsr: run t0 has no model: it was never validated\n")
    store.client.log_text(store.runs[0], "{}", "checkpoint/meta.json")
    wrong = CliRunner().invoke(main, ["report", "table1", "s", "--split", "val"])
    assert wrong.exit_code == 2
    assert f"`moedsr evaluate {store.runs[0]} --split val`" in wrong.stderr


def test_an_evaluation_comes_back_whole(store: Store) -> None:
    found = EvaluationRecord.load(store.client, store.client.get_run(store.runs[1]), "test")
    assert found == store.record(0.58)
    assert store.client.get_run(store.runs[1]).data.metrics["evaluation/test/iou"] == pytest.approx(0.64)


def test_an_evaluation_leaves_the_curves_of_its_trial_alone(tmp_path: Path) -> None:
    """On the validation split, too: nor does it change what the trials of a sweep are compared by."""
    with Tracker.open(f"sqlite:///{tmp_path / 'mlflow.db'}") as tracker:
        sweep = tracker.sweep_run("s", {"moedsr.sweep_id": "s"}, {})
        trial = tracker.trial_run(sweep, "t", config(), {})
        tracker.log_history(trial, [(10, {"val/iou": 0.5, "best/val/iou": 0.5}), (20, {"val/iou": 0.4})])
        run, client = tracker.run_id(trial), tracker.client
        before = sweep_table(client, find_sweep(client, "s"))
        record = EvaluationRecord(split="val", store_fingerprint="f00d", grid_stride=1, evaluation=evaluation(0.7))
        record.log(client, run)
        assert [(point.step, point.value) for point in client.get_metric_history(run, "val/iou")] == [
            (10, 0.5), (20, 0.4)
        ]  # fmt: skip
        assert sweep_table(client, find_sweep(client, "s")) == before
        assert client.get_run(run).data.metrics["evaluation/val/iou"] == pytest.approx(0.76)


def test_table3_compares_identity_within_and_between() -> None:
    one, two = "ACDEFGHIKLMNPQRSTVWY", "YWVTSRQPNMLKIHGFEDCA"
    routing = Routing(
        step=1,
        names=("a", "b", "c", "d"),
        splits=("train",) * 4,
        gates=np.array([[0.9, 0.1, 0], [0.8, 0.2, 0], [0, 1, 0], [0.3, 0.7, 0]]),
        sequences=(one, one, two, two),
    )
    table = specialists_table(routing)
    assert [row[:3] for row in table.rows] == [("0", "2", "a, b"), ("1", "2", "c, d"), ("2", "0", "-")]
    assert [row[3] for row in table.rows] == ["100.0", "100.0", "-"]
    assert float(table.rows[0][4]) < 30
    assert "p = 0.33" in table.note  # one of three ways to part four proteins in two pairs


def test_no_validated_trial() -> None:
    with pytest.raises(InputError, match="no trial of this sweep was validated yet"):
        group_scores([], "expert.count")
