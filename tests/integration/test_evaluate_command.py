"""`moedsr evaluate` on a checkpoint directory and a small store: the model beside every baseline."""

import csv
import json
from pathlib import Path

import builders
import pytest
from click.testing import CliRunner

from moedsr.config import Config, PrepareConfig
from moedsr.evaluation.scores import BASELINES
from moedsr.store.prepare import prepare_serially
from moedsr.store.store import SurfaceStore
from moedsr_platform.cli import main

SCORED = [name for name in BASELINES if name != "md"]


@pytest.fixture
def checkpoint(tmp_path: Path, tiny_run: Config, tiny_store: SurfaceStore) -> Path:
    proteins, store = tiny_store.names("train"), tiny_store.fingerprint
    return builders.save_untrained(tmp_path / "checkpoint", tiny_run, proteins=proteins, store=store)


def rows_of(text: str, *proteins: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines() if line.strip().startswith(proteins)]


def test_the_model_stands_beside_the_baselines(checkpoint: Path) -> None:
    result = CliRunner().invoke(main, ["evaluate", str(checkpoint), "--split", "test", "--frames", "2"])
    assert result.exit_code == 0, result.output
    rows = rows_of(result.stdout, "1vii_A", "mean")
    order = ["naive", "smoothed", "random", "jitter", "elastic", "zero-code", "model", "replica", "oracle", "ensemble"]
    # two tables: as one surface, as an ensemble
    assert [row[:2] for row in rows] == 2 * [[protein, name] for protein in ("1vii_A", "mean") for name in order]
    assert 0.3 < float(rows[0][2]) <= 1
    assert "trained on" not in result.stderr


def test_scores_as_json_csv_and_a_picture(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores"
    arguments = ["evaluate", str(checkpoint), "--protein", "1gl1_I", "--frames", "2", "--stride", "2", "--json"]
    result = CliRunner().invoke(main, [*arguments, "--out", str(out), "--samples", "3"])
    assert result.exit_code == 0, result.output
    scores = json.loads(result.stdout)
    assert {score["predictor"] for score in scores["proteins"]} == {*SCORED, "zero-code", "model"}
    assert len(scores["frames"]) == 2 * len(scores["proteins"])
    assert json.loads((out / "scores.json").read_text()) == scores
    rows = list(csv.DictReader((out / "scores.csv").open()))
    assert {row["predictor"] for row in rows if row["protein"] == "1gl1_I"} == {*SCORED, "zero-code", "model"}
    naive = next(row for row in rows if row["predictor"] == "naive")
    assert float(naive["energy_skill"]) == 0
    assert (out / "scores.png").read_bytes()[:4] == b"\x89PNG"


def test_proteins_that_it_was_trained_on_are_told(tiny_run: Config, tiny_store: SurfaceStore, tmp_path: Path) -> None:
    """As after `moedsr data split`, which may make them test proteins."""
    proteins, store = tiny_store.names(), tiny_store.fingerprint
    seen = builders.save_untrained(tmp_path / "checkpoint", tiny_run, proteins=proteins, store=store)
    arguments = ["--frames", "1", "--stride", "4", "--baseline", "naive"]
    result = CliRunner().invoke(main, ["evaluate", str(seen), *arguments])
    assert "The model was trained on 1 of these 1 proteins (1vii_A): this says nothing" in result.stderr


def test_a_model_on_a_store_of_ones_own(checkpoint: Path, tmp_path: Path) -> None:
    """Without any split, and without a protein that the model was trained on: what was fitted then still holds."""
    settings = PrepareConfig(frames=6, surface_points=400, grid_spacing=1.0, occupancy_grid=32)
    own = prepare_serially("mini-atlas", settings, tmp_path / "own", ["4cpa_I"])
    meta = json.loads((checkpoint / "meta.json").read_text())
    kept = {"smoothing_width": 0.5, "mean_square": 1.5}
    (checkpoint / "meta.json").write_text(json.dumps({**meta, "baselines": kept}))
    table = (own.path / "proteins.parquet").read_bytes()
    arguments = ["--store", str(own.path), "--frames", "2", "--baseline", "smoothed", "--protein", "4cpa_I"]
    result = CliRunner().invoke(main, ["evaluate", str(checkpoint), *arguments])
    assert result.exit_code == 0, result.output
    assert rows_of(result.stdout, "4cpa_I")[1][1] == "smoothed"
    assert "fitted where the model was trained" in result.stdout.replace("\n", " ")
    assert (own.path / "proteins.parquet").read_bytes() == table


def test_baselines_alone(tiny_store: SurfaceStore) -> None:
    arguments = ["evaluate", "baselines", str(tiny_store.path), "--frames", "2", "--stride", "2", "--samples", "2"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    rows = [row[:2] for row in rows_of(result.stdout, "1vii_A")]
    assert rows == 2 * [["1vii_A", predictor] for predictor in SCORED]
    assert "Empty predictions" not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "`moedsr evaluate baselines` needs a store: `moedsr evaluate baselines STORE`"),
        (["STORE", "--samples", "1"], "--samples is 1, but an energy score needs at least 2"),
        (["STORE", "--baseline", "elastik"], "no baseline 'elastik' (did you mean `elastic`?); there are: naive, smoo"),
        (["STORE", "--baseline", "md"], "the baseline md needs --md FOLDER, which holds ID/ID.pdb of each protein"),
        (["STORE", "--md", "nowhere"], "--md nowhere: no such folder; it must hold ID/ID.pdb of each protein"),
        (["STORE", "--store", "STORE"], "two stores are given"),
    ],
)
def test_what_cannot_be_scored(tiny_store: SurfaceStore, arguments: list[str], message: str) -> None:
    given = [str(tiny_store.path) if argument == "STORE" else argument for argument in arguments]
    result = CliRunner().invoke(main, ["evaluate", "baselines", *given])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"moedsr: {message}")
    assert result.stderr.count("\n") == 1


def test_one_frame_is_no_ensemble(tmp_path: Path) -> None:
    settings = PrepareConfig(frames=1, surface_points=400, grid_spacing=1.0, occupancy_grid=32)
    store = prepare_serially("mini-atlas", settings, tmp_path / "store", ["1l2y_A"])
    result = CliRunner().invoke(main, ["evaluate", "baselines", str(store.path), "--protein", "1l2y_A"])
    assert result.exit_code == 2
    assert result.stderr == (
        f"moedsr: {store.path}: 1l2y_A has 1 frame besides P0, but an ensemble to score needs at least 3\n"
    )


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
