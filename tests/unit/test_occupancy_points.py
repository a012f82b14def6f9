"""Points of the occupancy loss, and the loss itself."""

from dataclasses import replace

import builders
import numpy as np
import pytest
import torch
from pydantic import ValidationError

from moedsr.config import Config, LossConfig
from moedsr.data.batches import BatchSampler
from moedsr.data.occupancy_points import OccupancyPoints
from moedsr.data.store import SurfaceStore
from moedsr.losses import occupancy_loss


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
    near = OccupancyPoints(protein, [3])
    points, _ = near.draw(0, 1, np.random.default_rng(0))
    nodes = near._nodes
    wrong = (protein.occupancy(3).reshape(-1) != protein.occupancy(0).reshape(-1))[nodes].mean()
    assert near.unit == pytest.approx(wrong)
    assert OccupancyPoints(protein, [0]).unit == pytest.approx(1e-3)
    assert points.shape == (1, 3)


def test_batches_hold_them_only_when_asked(tiny_store: SurfaceStore, tiny_run: Config) -> None:
    without = BatchSampler(tiny_store, tiny_run, tiny_store.names("train")).batch(0)
    assert without.occupied.shape == (2, 2, 0)
    batch = BatchSampler(tiny_store, with_points(tiny_run, 30), tiny_store.names("train")).batch(0)
    assert batch.occupancy_points.shape == (2, 2, 30, 3)
    assert batch.occupied.shape == (2, 2, 30)
    assert set(batch.occupied.unique().tolist()) <= {0.0, 1.0}
    torch.testing.assert_close(batch.surface_points, without.surface_points, atol=0, rtol=0)


def test_loss_is_least_for_the_majority() -> None:
    """Where a point is inside in three of four frames, the field should be negative; the unit scales the loss."""
    batch = builders.make_batch((30,), frames=4)
    batch = replace(batch, occupied=torch.tensor([1.0, 1, 1, 0], dtype=torch.float64)[None, :, None].expand(1, 4, 6))
    losses = [occupancy_loss(torch.full((1, 4, 6), value, dtype=torch.float64), batch, 1.0) for value in (-1, 0, 1)]
    assert losses[0] < losses[1] < losses[2]
    torch.testing.assert_close(losses[0], torch.tensor(0.25 / 0.1, dtype=torch.float64), atol=1e-4, rtol=0)
    assert occupancy_loss(torch.zeros(1, 4, 0), batch, 1.0) == 0


def test_loss_without_points_is_refused(tiny_run: Config) -> None:
    values = tiny_run.model_dump()
    values["loss"]["occupancy_weight"] = 1.0
    with pytest.raises(ValidationError, match=r"occupancy_points is 0; it must be at least 1"):
        Config(**values)
