"""Every point of every ablation sweep trains, in a tiny form."""

from pathlib import Path
from typing import Any

import pytest
import torch

from moedsr.config import Config
from moedsr.store.store import SurfaceStore
from moedsr.training.trainer import Trainer
from moedsr_platform.sweep_file.loading import load_sweep
from moedsr_platform.sweep_file.search_space import grid_points, override

ABLATIONS = Path(__file__).resolve().parents[2] / "sweeps" / "ablations"
POINTS = [
    pytest.param(point, id="-".join([path.stem, *map(str, point.values())]))
    for path in sorted(ABLATIONS.glob("*.yaml"))
    for point in grid_points(load_sweep(path).search)
]


@pytest.mark.parametrize("point", POINTS)
def test_each_point_trains(point: dict[str, Any], tiny_run: Config, tiny_store: SurfaceStore) -> None:
    """Two steps; the rest of a run does not depend on what these sweeps vary."""
    trainer = Trainer(override(tiny_run, point), tiny_store, device="cpu")
    before = [parameter.clone() for parameter in trainer.model.router.encoder.parameters()]
    for _ in range(2):
        losses, _ = trainer.take_step()
        assert torch.isfinite(losses).all()
    after = trainer.model.router.encoder.parameters()
    assert any(not torch.equal(old, new) for old, new in zip(before, after, strict=True))
    assert all(torch.isfinite(parameter).all() for parameter in trainer.model.parameters())
