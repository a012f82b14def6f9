"""`moedsr evaluate` on a checkpoint directory and a small store: the model beside every baseline."""

import json
from pathlib import Path

import builders
import pytest
from click.testing import CliRunner

from moedsr.config import Config
from moedsr.evaluation.scores import BASELINES, PREDICTORS
from moedsr.store.store import SurfaceStore
from moedsr_platform.cli import main


@pytest.fixture
def checkpoint(tmp_path: Path, tiny_run: Config, tiny_store: SurfaceStore) -> Path:
    proteins, store = tiny_store.names("train"), tiny_store.fingerprint
    return builders.save_untrained(tmp_path / "checkpoint", tiny_run, proteins=proteins, store=store)


def test_the_model_stands_beside_the_baselines(checkpoint: Path) -> None:
    result = CliRunner().invoke(main, ["evaluate", str(checkpoint), "--split", "test", "--frames", "2"])
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.stdout.splitlines() if line.strip().startswith(("1vii_A", "mean"))]
    assert [row[:2] for row in rows] == [
        [protein, predictor] for protein in ("1vii_A", "mean") for predictor in PREDICTORS if predictor != "mean-code"
    ]
    naive, oracle = rows[0], rows[5]
    assert 0.3 < float(naive[2]) <= 1
    assert float(naive[-1]) == 0
    assert float(oracle[-1]) == 1
    assert "2/2" in result.stderr
    assert "trained on" not in result.stderr


def test_scores_as_json(checkpoint: Path) -> None:
    arguments = ["evaluate", str(checkpoint), "--protein", "1gl1_I", "--frames", "1", "--json"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    scores = json.loads(result.stdout)
    assert {(score["protein"], score["predictor"]) for score in scores} == {
        ("1gl1_I", predictor) for predictor in ("naive", "smoothed", "zero-code", "model", "oracle")
    }


def test_proteins_that_it_was_trained_on_are_told(tiny_run: Config, tiny_store: SurfaceStore, tmp_path: Path) -> None:
    """As after `moedsr data split`, which may make them test proteins."""
    proteins, store = tiny_store.names(), tiny_store.fingerprint
    seen = builders.save_untrained(tmp_path / "checkpoint", tiny_run, proteins=proteins, store=store)
    result = CliRunner().invoke(main, ["evaluate", str(seen), "--frames", "1", "--stride", "4"])
    assert "The model was trained on 1 of these 1 proteins (1vii_A): this says nothing" in result.stderr


def test_baselines_alone(tiny_store: SurfaceStore) -> None:
    arguments = ["evaluate", "baselines", "--store", str(tiny_store.path), "--frames", "2", "--stride", "2"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    rows = [line.split()[:2] for line in result.stdout.splitlines() if line.strip().startswith("1vii_A")]
    assert rows == [["1vii_A", predictor] for predictor in BASELINES]
    assert "Empty predictions" not in result.stdout


def test_baselines_alone_need_a_store() -> None:
    result = CliRunner().invoke(main, ["evaluate", "baselines"])
    assert result.exit_code == 2
    assert result.stderr == "moedsr: `moedsr evaluate baselines` needs --store STORE: no model names one\n"


def test_an_unknown_protein_names_those_there_are(checkpoint: Path) -> None:
    result = CliRunner().invoke(main, ["evaluate", str(checkpoint), "--protein", "1vii"])
    assert result.exit_code == 2
    assert "no protein '1vii'" in result.stderr
    assert "(did you mean `1vii_A`?)" in result.stderr


def test_a_store_of_other_content_is_refused_unless_named(checkpoint: Path) -> None:
    meta = json.loads((checkpoint / "meta.json").read_text())
    (checkpoint / "meta.json").write_text(json.dumps({**meta, "store_fingerprint": "other"}))
    result = CliRunner().invoke(main, ["evaluate", str(checkpoint)])
    assert result.exit_code == 2
    assert "has changed since the model was trained" in result.stderr
    assert result.stderr.count("\n") == 1
