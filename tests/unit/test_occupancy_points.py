"""Points of the occupancy loss, and the loss itself."""

from dataclasses import replace

import builders
import numpy as np
import pytest
import torch
from pydantic import ValidationError

from moedsr.batches.batches import BatchSampler
from moedsr.batches.occupancy_points import OccupancyPoints
from moedsr.config import Config, ExpertConfig, LossConfig
from moedsr.geometry.occupancy import iou
from moedsr.models.moedsr import MoEDSR
from moedsr.store.store import SurfaceStore
from moedsr.training.losses import change_loss, occupancy_loss

LEVELS = np.linspace(0.02, 0.98, 49)


def with_points(run: Config, count: int) -> Config:
    training = run.training.model_copy(update={"occupancy_points": count})
    return run.model_copy(update={"training": training, "loss": LossConfig(occupancy_weight=1.0)})


def test_points_are_nodes_near_the_surface(tiny_store: SurfaceStore) -> None:
    protein = tiny_store.protein("1vii_A")
    points, inside = OccupancyPoints(protein, [1, 2, 3]).draw(2, 500, np.random.default_rng(0))
    occupancy = protein.occupancy(2)
    place = np.rint((points + 1) / 2 * (len(occupancy) - 1)).astype(int)
    np.testing.assert_array_equal(inside, occupancy[tuple(place.T)])
    assert 0.2 < inside.mean() < 0.8
    surface = protein.frame(0).points / protein.scale
    distance = np.linalg.norm(points[:, None] - surface, axis=-1).min(axis=1) * protein.scale
    assert distance.max() < 3 + 2.5 * 2 * protein.scale / (len(occupancy) - 1)


def test_unit_is_what_p0_gets_wrong(tiny_store: SurfaceStore) -> None:
    """Against one frame alone the best static surface is that frame; a protein that does not move has the least."""
    protein = tiny_store.protein("1vii_A")
    near = OccupancyPoints(protein, [0, 3])
    points, _ = near.draw(0, 1, np.random.default_rng(0))
    initial, later = (protein.occupancy(frame).reshape(-1) for frame in (0, 3))
    assert near.inside_cost == pytest.approx((initial & later).sum() / (initial | later).sum())
    wrong = np.where(initial, near.inside_cost * ~later, later)[near._nodes].mean()
    assert near.unit == pytest.approx(wrong)
    assert OccupancyPoints(protein, [0]).unit == pytest.approx(1e-3)
    assert points.shape == (1, 3)


def test_to_lower_the_cost_is_to_raise_the_iou(tiny_store: SurfaceStore) -> None:
    """Of all thresholds of the mean occupancy, the one with the least cost is the one with the best mean IoU."""
    protein = tiny_store.protein("1vii_A")
    frames = [protein.occupancy(frame).reshape(-1) for frame in range(1, len(protein))]
    often = np.mean(frames, axis=0)
    best_iou = max(np.mean([iou(often > level, frame) for frame in frames]) for level in LEVELS)
    cost = OccupancyPoints(protein, list(range(len(protein)))).inside_cost
    costs = [np.where(often > level, cost * (1 - often), often).mean() for level in LEVELS]
    chosen = LEVELS[int(np.argmin(costs))]
    assert chosen < 0.5
    assert np.mean([iou(often > chosen, frame) for frame in frames]) > best_iou - 0.003
    assert np.mean([iou(often > 0.5, frame) for frame in frames]) < best_iou - 0.003


def test_batches_hold_them_only_when_asked(tiny_store: SurfaceStore, tiny_run: Config) -> None:
    without = BatchSampler(tiny_store, tiny_run, tiny_store.names("train")).batch(0)
    assert without.occupied.shape == (2, 2, 0)
    batch = BatchSampler(tiny_store, with_points(tiny_run, 30), tiny_store.names("train")).batch(0)
    assert batch.occupancy_points.shape == (2, 2, 30, 3)
    assert batch.occupied.shape == (2, 2, 30)
    assert set(batch.occupied.unique().tolist()) <= {0.0, 1.0}
    torch.testing.assert_close(batch.surface_points, without.surface_points, atol=0, rtol=0)


def test_loss_weighs_both_ways_of_being_wrong() -> None:
    """Where a point is inside in three of four frames, the field should be negative; the unit scales the loss."""
    batch = builders.make_batch((30,), frames=4)
    batch = replace(batch, occupied=torch.tensor([1.0, 1, 1, 0], dtype=torch.float64)[None, :, None].expand(1, 4, 6))
    losses = [occupancy_loss(torch.full((1, 4, 6), value, dtype=torch.float64), batch, 1.0) for value in (-1, 0, 1)]
    assert losses[0] < losses[1] < losses[2]
    torch.testing.assert_close(losses[0], torch.tensor(0.25 * 0.5 / 0.1, dtype=torch.float64), atol=1e-4, rtol=0)
    torch.testing.assert_close(losses[2], torch.tensor(0.75 / 0.1, dtype=torch.float64), atol=1e-4, rtol=0)
    assert occupancy_loss(torch.zeros(1, 4, 0), batch, 1.0) == 0


def test_change_is_measured_from_p0() -> None:
    """An anchored model that has learned nothing is P0; moved by a normalised 0.01 it has changed by that in Å²."""
    batch = builders.make_batch((60, 40))
    expert = ExpertConfig(kind="anchored", count=4, hidden_layers=2, hidden_size=8, latent_size=8)
    model = MoEDSR(builders.small_config().model_copy(update={"expert": expert}), 2).double()
    with torch.no_grad():
        prediction = model(batch)
    scale = batch.proteins.scale
    assert change_loss(prediction, scale) == pytest.approx(0, abs=1e-20)
    moved = replace(prediction, occupancy_value=prediction.occupancy_value + 0.01)
    torch.testing.assert_close(change_loss(moved, scale), (0.01 * scale).square().mean())


def test_change_of_other_kinds_is_refused(tiny_run: Config) -> None:
    values = with_points(tiny_run, 30).model_dump()
    values["loss"]["change_weight"] = 1.0
    values["expert"]["kind"] = "plain"
    with pytest.raises(ValidationError, match=r"needs expert\.kind anchored .* not plain and 30"):
        Config(**values)


def test_loss_without_points_is_refused(tiny_run: Config) -> None:
    values = tiny_run.model_dump()
    values["loss"]["occupancy_weight"] = 1.0
    with pytest.raises(ValidationError, match=r"occupancy_points is 0; it must be at least 1"):
        Config(**values)
