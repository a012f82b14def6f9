"""The signed distance to P0 as the model reads it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from moedsr.batches.initial_distance import SplineGrid
from moedsr.batches.protein_input import ProteinInput, collate
from moedsr.config import Config, DataConfig, EvaluationConfig, PrepareConfig
from moedsr.evaluation.evaluation import Evaluator
from moedsr.geometry.surface_distance import distance_to
from moedsr.models.experts.initial_distance import initial_distance
from moedsr.models.moedsr import MoEDSR
from moedsr.pictures.stored_motion import stored_surface
from moedsr.store.prepare import prepare_serially
from moedsr.store.store import SurfaceStore


def anchored(config: Config, **changes: object) -> Config:
    return config.model_copy(update={"expert": config.expert.model_copy(update={"kind": "anchored"} | changes)})


def distance(protein: ProteinInput, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Å at points (P, 3) in Å."""
    grids = collate([protein], [-1]).initial_distances
    assert grids is not None
    value, slope = initial_distance(grids, torch.zeros(1, dtype=torch.long), torch.from_numpy(points)[None].float())
    return value[0].numpy(), slope[0].numpy()


def test_plain_experts_do_without(tiny_store: SurfaceStore, tiny_run: Config) -> None:
    protein = tiny_store.protein("1l2y_A")
    assert collate([ProteinInput.of(protein, tiny_run)], [-1]).initial_distances is None
    assert ProteinInput.of(protein, anchored(tiny_run), route_only=True).initial_distance is None


def test_is_a_distance(tiny_store: SurfaceStore, tiny_run: Config) -> None:
    protein = tiny_store.protein("1l2y_A")
    frame = protein.frame(0)
    given = ProteinInput.of(protein, anchored(tiny_run))
    value, slope = distance(given, frame.points)
    assert np.abs(value).mean() < 0.1
    assert (slope * frame.normals).sum(1).mean() > 0.9
    points = np.random.default_rng(0).uniform(-1, 1, (2000, 3)) * protein.scale
    value, slope = distance(given, points)
    nearest = distance_to(stored_surface(protein, 0, tiny_store.settings))(points)
    np.testing.assert_allclose(np.abs(value), nearest, atol=0.8)  # what this coarse mesh cuts off, and the blend
    assert np.abs(np.abs(value) - nearest).mean() < 0.1
    assert 0.9 < np.median(np.linalg.norm(slope, axis=1)) < 1.1


def test_spline_passes_through_its_nodes_and_goes_on_straight() -> None:
    axis = np.arange(9.0)
    plane = axis[:, None, None] + 2 * axis[:, None] - axis + 0.5
    grid = SplineGrid.through(plane, np.zeros(3), 1.0)
    np.testing.assert_allclose(grid.coefficients, plane, atol=1e-4)


def test_untrained_model_scores_as_naive(small_config: Config, tmp_path: Path) -> None:
    """On the grid that is the default; a coarser one does not say as exactly where the surface is."""
    settings = PrepareConfig(frames=4, surface_points=400, occupancy_grid=64)
    store = prepare_serially("mini-atlas", settings, tmp_path / "store", ("1vii_A",))
    data, evaluation = DataConfig(store=tmp_path / "store", prepare=settings), EvaluationConfig(surface_samples=500)
    config = anchored(small_config.model_copy(update={"data": data, "evaluation": evaluation}))
    scores = Evaluator(store, ["1vii_A"], config).evaluate(MoEDSR(config, 1).eval(), {})
    for model, naive in zip(*(scores._values("1vii_A", who, "iou") for who in ("model", "naive")), strict=True):
        assert abs(model - naive) < 0.005


def test_turned_file_gives_the_turned_distance(tiny_store: SurfaceStore, tiny_run: Config) -> None:
    """The grid is laid by the chain, so that coordinates turned as a whole meet the same grid."""
    from moedsr.store.conformation import InitialConformation
    from moedsr.structures.ensemble import find_ensembles
    from moedsr.structures.trajectory import load_structure

    (ensemble,) = [e for e in find_ensembles("mini-atlas") if e.name == "1l2y_A"]
    structure = load_structure(ensemble.topology)
    rotation = Rotation.random(random_state=0).as_matrix()
    turned = replace(structure, positions=structure.positions @ rotation.T + np.array([10.0, -20.0, 5.0]))
    config = anchored(tiny_run)
    still, moved = (
        ProteinInput.of(InitialConformation.of(s, config.data.prepare, "1l2y_A"), config) for s in (structure, turned)
    )
    points = np.random.default_rng(0).uniform(-12, 12, (2000, 3))
    before, _ = distance(still, points)
    after, _ = distance(moved, points @ rotation.T)
    # positions are rounded to 0.01 Å
    assert np.quantile(np.abs(after - before), 0.99) < 0.05
