"""The commands `train`, `sweep` and `data` as a user meets them."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from moedsr_platform.cli import main

ROOT = Path(__file__).resolve().parents[2]
ENSEMBLE = ROOT / "moedsr" / "structures" / "mini_atlas" / "1l2y_A"


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, list(arguments))
    return result.exit_code, result.output


@pytest.mark.parametrize("command", ["sweep", "train", "submit", "data"])
def test_every_command_explains_itself(command: str) -> None:
    code, output = run(command, "--help")
    assert code == 0
    assert "Usage" in output


def test_a_wrong_file_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("data: {source: mini-atlas}\ntraining: {stepz: 3}\n")
    code, output = run("train", str(file), "--results", str(tmp_path / "results"))
    assert code == 2
    assert output == (
        f"moedsr: {file}:2: unknown key `training.stepz` (did you mean `steps`?); allowed: "
        + output.split("allowed: ")[1]
    )
    assert output.count("\n") == 1
    assert not (tmp_path / "results").exists()


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    code, output = run("sweep", str(tmp_path / "none.yaml"))
    assert code == 2
    assert "none.yaml: cannot be read: No such file or directory" in output


def test_an_unknown_backbone_names_those_there_are(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("data: {source: mini-atlas}\nrouter: {backbone: q_mpn}\n")
    code, output = run("train", str(file), "--results", str(tmp_path / "results"))
    assert code == 2
    assert "router.backbone is `q_mpn` (did you mean `q_mpnn`?), but must be one of " in output


def test_an_unknown_kind_among_the_values_searched_is_refused_before_anything_runs(tmp_path: Path) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(
        "base: {data: {source: mini-atlas}}\nsearch: {expert.kind: {choice: [plain, anchord]}}\ntrials: 2\n"
    )
    code, output = run("sweep", str(file), "--results", str(tmp_path / "results"))
    assert code == 2
    assert "expert.kind is `anchord` (did you mean `anchored`?)" in output
    assert not (tmp_path / "results").exists()


def test_data_is_prepared_and_checked(tmp_path: Path) -> None:
    import ray

    shutil.copytree(ENSEMBLE, tmp_path / "source" / ENSEMBLE.name)
    settings = tmp_path / "settings.yaml"
    settings.write_text("{occupancy_grid: 8, grid_spacing: 1.0}\n")
    store = tmp_path / "store"
    options = ["--settings", str(settings), "--frames", "3", "--surface-points", "100"]
    try:
        code, output = run("data", "prepare", str(tmp_path / "source"), "--out", str(store), *options)
    finally:
        ray.shutdown()
    assert code == 0, output
    assert "prepared 1l2y_A (1 of 1)" in output
    code, output = run("data", "check", str(store))
    assert code == 0, output
    (row,) = [line.split() for line in output.splitlines() if line.lstrip().startswith("1l2y_A")]
    assert {"20", "4"} <= set(row)  # residues, frames
    body = bytearray((store / "1l2y_A.safetensors").read_bytes())
    body[-5] ^= 1
    (store / "1l2y_A.safetensors").write_bytes(body)
    code, output = run("data", "check", str(store))
    assert code == 2
    assert "1l2y_A" in output
