"""Every file under sweeps/ is valid, found by itself, and passes a dry run on a machine without GPUs."""

import math
from pathlib import Path

import pytest
from click.testing import CliRunner

from moedsr_platform.cli import main
from moedsr_platform.sweep_file.loading import load_run, load_sweep

SWEEPS = Path(__file__).resolve().parents[2] / "sweeps"
FILES = sorted(SWEEPS.rglob("*.yaml"))


def is_run(path: Path) -> bool:
    return path.parent.name == "runs"


def test_there_are_sweeps_and_runs() -> None:
    assert {"quickstart.yaml", "paper_table2.yaml", "baseline_dsr.yaml"} <= {path.name for path in FILES}
    assert any(is_run(path) for path in FILES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SWEEPS)))
def test_the_file_is_valid_and_says_what_it_would_need(path: Path) -> None:
    sweep = load_run(path) if is_run(path) else load_sweep(path)
    result = CliRunner().invoke(main, ["train" if is_run(path) else "sweep", str(path), "--dry-run"])
    assert result.exit_code == 0, result.output
    what = "one training" if is_run(path) else f"{sweep.points * sweep.seeds} trials"
    assert f"{what} of {sweep.base.training.steps} steps" in result.output
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
    assert sweep.base.expert.kind == "plain"
    router = sweep.base.router
    assert {router.radial_range, router.residue_distance, router.neighbor_weight, router.pooling} == {"paper"}
    assert (router.radial_basis, router.radial_gamma) == (64, 10.0)
    spacing = 30 / (router.radial_basis - 1)
    assert math.exp(-router.radial_gamma * (spacing / 2) ** 2) > 0.5, "no distance is far from every centre"
    gate, expert, training = sweep.base.gate, sweep.base.expert, sweep.base.training
    assert gate.minimum_noise == expert.harmonic_epsilon == training.latent_dropout == training.ema_decay == 0
    assert training.global_fraction == 1.0
    assert (sweep.seeds, sweep.sampler) == (3, "random")
    assert (sweep.resources.workers.max, sweep.resources.gpus_per_worker) == (4, 1)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SWEEPS)))
def test_the_kind_of_expert_is_said(path: Path) -> None:
    """The default may change; what a file is about may not."""
    sweep = load_run(path) if is_run(path) else load_sweep(path)
    assert "kind" in sweep.base.expert.model_fields_set or "expert.kind" in sweep.search


def test_dsr_is_as_published() -> None:
    sweep = load_sweep(SWEEPS / "baseline_dsr.yaml")
    router, expert, training = sweep.base.router, sweep.base.expert, sweep.base.training
    assert (router.backbone, expert.kind, expert.latent_per) == ("none", "dsr", "replica")
    assert (expert.hidden_layers, expert.hidden_size, expert.latent_size, expert.softplus_beta) == (8, 512, 192, 100)
    assert (training.learning_rate, training.latent_learning_rate, training.schedule) == (1e-4, 1e-3, "halving")
    assert (training.halvings, training.warmup_steps, training.gradient_clip, training.weight_decay) == (20, 0, None, 0)
    assert (training.batch_size, training.frames_per_protein, training.global_fraction) == (1, 1, 0.125)
    assert training.surface_points == sweep.base.data.prepare.surface_points
    loss = sweep.base.loss
    assert (loss.normal_weight, loss.eikonal_weight, loss.latent_weight) == (1.0, 0.1, 0.001)
    assert loss.load_balance_weight == loss.occupancy_weight == training.ema_decay == training.latent_dropout == 0


def test_sweeps_holds_no_python() -> None:
    assert list(SWEEPS.rglob("*.py")) == []
