"""Every file under sweeps/ is valid, found by itself, and passes a dry run on a machine without GPUs."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from moedsr_platform.cli import main
from moedsr_platform.sweep_file import load_run, load_sweep

SWEEPS = Path(__file__).resolve().parents[2] / "sweeps"
FILES = sorted(SWEEPS.rglob("*.yaml"))


def is_run(path: Path) -> bool:
    return path.parent.name == "runs"


def test_there_are_sweeps_and_runs() -> None:
    assert {"quickstart.yaml", "paper_table2.yaml"} <= {path.name for path in FILES}
    assert any(is_run(path) for path in FILES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SWEEPS)))
def test_the_file_is_valid_and_says_what_it_would_need(path: Path) -> None:
    sweep = load_run(path) if is_run(path) else load_sweep(path)
    result = CliRunner().invoke(main, ["train" if is_run(path) else "sweep", str(path), "--dry-run"])
    assert result.exit_code == 0, result.output
    assert f"= {sweep.points * sweep.seeds} trials of {sweep.base.training.steps} steps" in result.output
    assert "one trial: " in result.output


def test_table_2_is_complete() -> None:
    sweep = load_sweep(SWEEPS / "paper_table2.yaml")
    assert {key: domain.values for key, domain in sweep.search.items()} == {
        "expert.count": (4, 8, 16),
        "expert.harmonic_channels": (1, 3, 9, 16),
        "expert.latent_size": (16, 64, 192),
        "router.point_features": (16, 32, 128),
        "router.nearest_residues": (8, 16),
        "router.normal_smoothing": (9.0, 12.0),
        "router.l_max": (1, 2),
        "training.batch_size": (4, 8, 16, 32),
        "loss.eikonal_weight": (0.1, 1.0),
        "loss.latent_weight": (0.001, 0.1),
        "loss.sdf_weight": (1.0, 10.0),
    }
    assert (sweep.seeds, sweep.sampler) == (3, "random")
    assert (sweep.resources.workers, sweep.resources.gpus_per_worker) == (4, 1)


def test_sweeps_holds_no_python() -> None:
    assert list(SWEEPS.rglob("*.py")) == []
