import dataclasses
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from moedsr.config import Config
from moedsr.errors import InputError, JobError
from moedsr.store.store import SurfaceStore
from moedsr.train import TrainingReport, train
from moedsr.training.checkpoint import load_meta, load_model


def run(config: Config, store: SurfaceStore, scratch: Path, **options: object) -> list[TrainingReport]:
    reports: list[TrainingReport] = []
    train(config, store.path, report=reports.append, scratch=scratch, device="cpu", **options)
    return reports


def with_training(config: Config, **changes: object) -> Config:
    return config.model_copy(update={"training": config.training.model_copy(update=changes)})


def test_reports(tiny_run: Config, tiny_store: SurfaceStore, tmp_path: Path) -> None:
    reports = run(tiny_run, tiny_store, tmp_path)
    assert [r.step for r in reports] == [2, 4, 6]
    assert [step for r in reports for step, _ in r.history] == [1, 2, 3, 4, 5, 6]
    assert [r.checkpoint is not None for r in reports] == [False, True, True]
    assert [r.done for r in reports] == [False, False, True]
    tracked = set(reports[-1].metrics)
    terms = ("loss", "manifold", "normal", "eikonal", "latent", "load_balance")
    assert {f"train/{term}" for term in terms} <= tracked
    scores = ("iou", "chamfer", "chamfer_l1", "normal_consistency")
    assert {f"{who}/{score}" for who in ("val", "naive", "oracle") for score in scores} <= tracked
    assert {
        "val/gap_closed",
        "routing/entropy",
        "routing/max_load",
        "perf/steps_per_second",
        "perf/active_parameters",
    } <= tracked


@pytest.mark.parametrize("kind", ["equivariant", "anchored"])
def test_other_kinds_train_and_are_scored(
    kind: str, tiny_run: Config, tiny_store: SurfaceStore, tmp_path: Path
) -> None:
    expert = tiny_run.expert.model_copy(update={"kind": kind})
    config = with_training(tiny_run.model_copy(update={"expert": expert}), steps=2, validate_every=2)
    assert run(config, tiny_store, tmp_path)[-1].metrics["val/iou"] > 0


def test_checkpoint_content(tiny_run: Config, tiny_store: SurfaceStore, tmp_path: Path) -> None:
    folder = run(tiny_run, tiny_store, tmp_path)[-1].checkpoint
    assert folder is not None
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "config.json",
        "model.safetensors",
        "training.pt",
        "meta.json",
        "routing.json",
        "evaluation.json",
        "surfaces",
    }
    assert {p.suffix for p in (folder / "surfaces").rglob("*.*")} == {".html", ".ply", ".png"}
    model, meta = load_model(folder)
    assert meta == load_meta(folder)
    assert (meta.step, meta.proteins) == (6, tiny_store.names("train"))
    assert meta.store_fingerprint == tiny_store.fingerprint
    assert model.config == tiny_run
    assert not list(tmp_path.rglob("*.tmp"))


def test_loss_falls(tiny_run: Config, tiny_store: SurfaceStore, tmp_path: Path) -> None:
    config = with_training(tiny_run, steps=120, validate_every=120, latent_dropout=0.0)
    history = [metrics for r in run(config, tiny_store, tmp_path) for _, metrics in r.history]
    first, last = (sum(m["train/loss"] for m in part) / 20 for part in (history[:20], history[-20:]))
    assert last < 0.9 * first


def test_resumes_bit_for_bit(tiny_run: Config, tiny_store: SurfaceStore, tmp_path: Path) -> None:
    whole = run(tiny_run, tiny_store, tmp_path / "whole")
    interrupted = run(tiny_run, tiny_store, tmp_path / "first", stop=lambda: True)
    assert [r.step for r in interrupted] == [2]
    rest = run(tiny_run, tiny_store, tmp_path / "second", resume_from=interrupted[-1].checkpoint)
    assert [r.step for r in rest] == [4, 6]

    def losses(reports: list[TrainingReport]) -> list[tuple[int, float]]:
        return [(step, metrics["train/loss"]) for r in reports for step, metrics in r.history]

    assert losses(interrupted) + losses(rest) == losses(whole)
    expected, weights = (load_file(reports[-1].checkpoint / "model.safetensors") for reports in (whole, rest))
    torch.testing.assert_close(weights, expected, atol=0, rtol=0)


def test_resume_refuses_another_configuration(tiny_run: Config, tiny_store: SurfaceStore, tmp_path: Path) -> None:
    folder = run(tiny_run, tiny_store, tmp_path, stop=lambda: True)[-1].checkpoint
    with pytest.raises(InputError, match=r"was made with training.learning_rate = 0.002, not 0.1"):
        run(with_training(tiny_run, learning_rate=0.1), tiny_store, tmp_path / "again", resume_from=folder)


def test_divergence_is_one_line(tiny_run: Config, tiny_store: SurfaceStore, tmp_path: Path) -> None:
    loss = tiny_run.loss.model_copy(update={"eikonal_weight": float("inf")})
    with pytest.raises(JobError, match="the loss is not a number at step 1; try a smaller learning rate"):
        run(tiny_run.model_copy(update={"loss": loss}), tiny_store, tmp_path)


def test_seed_changes_the_run(tiny_run: Config, tiny_store: SurfaceStore, tmp_path: Path) -> None:
    config = with_training(tiny_run, steps=2)
    first, again, other = (
        run(with_training(config, seed=seed), tiny_store, tmp_path / f"{number}")[-1].metrics["train/loss"]
        for number, seed in enumerate((0, 0, 1))
    )
    assert first == again
    assert first != other


def test_store_with_other_settings(tiny_run: Config, tiny_store: SurfaceStore, tmp_path: Path) -> None:
    prepare = tiny_run.data.prepare.model_copy(update={"probe_radius": 1.5})
    data = tiny_run.data.model_copy(update={"prepare": prepare})
    with pytest.raises(InputError, match="probe_radius"):
        run(tiny_run.model_copy(update={"data": data}), tiny_store, tmp_path)


def test_memorising_scores_the_trained_frames(tiny_run: Config, tiny_store: SurfaceStore, tmp_path: Path) -> None:
    config = tiny_run.model_copy(
        update={
            "data": tiny_run.data.model_copy(update={"proteins": ("1l2y_A",), "frames": 0}),
            "evaluation": tiny_run.evaluation.model_copy(update={"split": "train", "scope": "trained"}),
        }
    )
    last = run(config, tiny_store, tmp_path)[-1]
    assert last.metrics["naive/iou"] == pytest.approx(1.0, abs=1e-9)
    assert "val/gap_closed" not in last.metrics


def test_reports_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainingReport(step=1).step = 2  # type: ignore[misc]
