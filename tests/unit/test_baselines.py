"""What predictors may see, and what they make of it."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from moedsr.evaluation.baselines import BASELINES, BaselineSettings
from moedsr.evaluation.calibration import Calibration
from moedsr.evaluation.scored_surface import AtomSurface, LevelSurface, MetricGrid, ScoredSurface
from moedsr.evaluation.scoring import score
from moedsr.evaluation.target import Target
from moedsr.geometry.fill import FillSum
from moedsr.geometry.occupancy import iou, smoothed_distance
from moedsr.geometry.surface import solvent_excluded_surface
from moedsr.store.protein_file import StoredProtein, read_metadata, write_protein
from moedsr.store.store import SurfaceStore
from moedsr.structures import ensemble

BUNDLED = Path(ensemble.__file__).parent / "mini_atlas"
NODES, SCALE = 40, 12.0
SPACING = 2 * SCALE / (NODES - 1)
GRID = MetricGrid(NODES, 1, SCALE)
PROBES = np.zeros((1, 3))


def ball(radius: float, x: float = 0.0) -> np.ndarray:
    axis = np.linspace(-1, 1, NODES)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    return SCALE * (np.linalg.norm(grid - [x, 0, 0], axis=-1) - radius)


def scored(radius: float, x: float = 0.0) -> ScoredSurface:
    return LevelSurface(ball(radius, x)).scored(GRID, PROBES)


@pytest.fixture(scope="module")
def target(tiny_store: SurfaceStore) -> Target:
    return Target(tiny_store.protein("1l2y_A"), tiny_store.settings)


def test_one_mesher_whoever_predicts() -> None:
    """Atoms, and their signed distance on the grid, as a model or a blur would have it: the same mesh."""
    atoms = np.random.default_rng(0).normal(0, 2.0, (30, 3))
    surface = solvent_excluded_surface(atoms, np.full(30, 1.7), spacing=0.5)
    known = AtomSurface(surface, atoms[:1]).scored(GRID, PROBES)
    level = LevelSurface(surface.on_metric_grid(np.zeros(3), SCALE, NODES)).scored(GRID, PROBES)
    np.testing.assert_array_equal(known.fill, level.fill)
    np.testing.assert_array_equal(known.mesh(GRID).vertices, level.mesh(GRID).vertices)
    np.testing.assert_array_equal(known.inside, surface.occupancy(np.zeros(3), SCALE, NODES))


def test_meshes_lie_where_the_level_is_zero() -> None:
    mesh = scored(0.5).mesh(GRID)
    np.testing.assert_allclose(np.linalg.norm(mesh.vertices, axis=1), 0.5, atol=0.005)


def test_signed_distances_of_a_level() -> None:
    points = np.array([[0.0, 0, 0], [6.0, 0, 0], [7.0, 0, 0], [4.5, 0, 0], [11.0, 0, 0]])
    found = LevelSurface(ball(0.5)).scored(GRID, points).distances
    np.testing.assert_allclose(found, [-3.0, 0.0, 1.0, -1.5, 3.0], atol=0.06)


def test_the_mean_surface_is_where_half_are_inside() -> None:
    shifts = (-0.3, 0.0, 0.3)
    parts = [scored(0.4, x) for x in shifts]
    total = FillSum.of([part.fill for part in parts])
    votes = sum(part.inside.astype(int) for part in parts)
    assert isinstance(votes, np.ndarray)
    np.testing.assert_array_equal(ScoredSurface(total.where(), PROBES).inside, votes >= 2)
    two = total.without([parts[0].fill]).where()
    np.testing.assert_array_equal(ScoredSurface(two, PROBES).inside, parts[1].inside | parts[2].inside)


def test_the_mean_of_equal_surfaces_is_that_surface() -> None:
    """No staircase where all agree: the mean keeps where between the nodes they end."""
    same = scored(0.45)
    np.testing.assert_array_equal(FillSum.of([same.fill] * 5).where(), same.fill)


def test_who_sees_the_ensemble_never_sees_the_replica_that_is_scored(target: Target) -> None:
    assert target.several_replicas
    for frame in target.frames:
        others = target.others(frame)
        assert others
        assert all(target.replicas[i] != target.replicas[frame] for i in others)
    settings = BaselineSettings(samples=4)
    frame = target.frames[0]
    replica = list(BASELINES["replica"](settings).surfaces(target, frame))
    assert len(replica) == sum(target.replicas[target.frames] == target.replicas[frame] % 3 + 1)
    (oracle,) = BASELINES["oracle"](settings).surfaces(target, frame)
    votes = np.mean([target.truth(i).inside for i in target.others(frame)], axis=0)
    np.testing.assert_array_equal(target.scored(oracle).inside, votes >= 0.5)


def test_of_one_replica_the_frame_itself_is_left_out(tiny_store: SurfaceStore, tmp_path: Path) -> None:
    alone = _changed(tiny_store, tmp_path, replicas=lambda r: np.minimum(r, 1))
    assert not alone.several_replicas
    assert alone.others(2) == [i for i in alone.frames if i != 2]
    assert not BASELINES["replica"](BaselineSettings()).fits(alone)


def test_p0_is_never_scored_against_itself(tiny_store: SurfaceStore, tmp_path: Path) -> None:
    def first_is_p0(atoms: np.ndarray) -> np.ndarray:
        return np.concatenate([atoms[:1], atoms[:1], atoms[2:]])

    changed = _changed(tiny_store, tmp_path, atoms=first_is_p0)
    assert changed.frames == list(range(2, len(changed.protein)))
    assert 1 not in changed.others(4)


def _changed(store: SurfaceStore, folder: Path, **changes) -> Target:
    from safetensors.numpy import load_file

    source = store.path / "1l2y_A.safetensors"
    tensors = load_file(source)
    for key, change in changes.items():
        tensors[key] = np.ascontiguousarray(change(tensors[key]).astype(tensors[key].dtype))
    write_protein(folder / source.name, tensors, read_metadata(source))
    return Target(StoredProtein(folder / source.name, "1l2y_A", None), store.settings)


@pytest.mark.parametrize("name", sorted(set(BASELINES) - {"md"}))
def test_each_baseline_scores_within_range(target: Target, name: str) -> None:
    predictor = BASELINES[name](BaselineSettings(samples=5))
    assert predictor.name == name
    assert predictor.fits(target)
    frames, whole = score(target, predictor, target.frames)
    for frame in frames:
        assert 0.3 < frame.values["iou"] <= 1
        assert 0 <= frame.values["brier"] <= frame.values["brier_everywhere"] <= 1
        assert 0 <= frame.values["energy"] < 0.7
        assert 0 <= frame.values["crps"] < 3
        assert {"crps_core", "brier_ends", "energy_core"} <= frame.values.keys()
    assert whole.values["samples"] == {"jitter": 5, "elastic": 5, "replica": 2, "ensemble": 4}.get(name, 1)


def test_samples_of_an_elastic_network_describe_an_ensemble_better_than_p0(target: Target) -> None:
    settings = BaselineSettings(samples=16)
    energy = {}
    for name in ("naive", "jitter", "elastic", "ensemble"):
        frames, _ = score(target, BASELINES[name](settings), target.frames, meshes=False)
        energy[name] = np.mean([frame.values["energy"] for frame in frames])
    assert energy["ensemble"] < energy["elastic"] < energy["jitter"] < energy["naive"]


def test_the_scored_protein_has_no_say_in_what_is_fitted(tiny_store: SurfaceStore) -> None:
    names = tiny_store.names()
    every = Calibration(tiny_store, names)
    for name in names:
        others = Calibration(tiny_store, [other for other in names if other != name])
        assert every.mean_square(name) == others.mean_square(name) == others.mean_square()
        assert every.smoothing_width(name) == others.smoothing_width()


def test_numbers_are_kept_for_where_nothing_can_be_fitted(tiny_store: SurfaceStore) -> None:
    numbers = Calibration(tiny_store, ["1l2y_A"]).numbers()
    assert Calibration(kept=numbers).numbers() == numbers
    assert Calibration(tiny_store, [], numbers).numbers() == numbers
    assert Calibration().smoothing_width() > 0


def test_smoothing_nothing_changes_no_sign() -> None:
    distance = ball(0.5)
    np.testing.assert_array_equal(smoothed_distance(distance, SPACING, 0.0) < 0, distance < 0)


def test_smoothing_a_capped_distance_equals_smoothing_the_whole_one() -> None:
    """The store's distance stops growing a few Å outside; the blurred surface must not notice."""
    whole = ball(0.5)
    capped = np.minimum(whole, 2.4)
    for width in (1.0, 2.0):
        expected, found = (smoothed_distance(x, SPACING, width) for x in (whole, capped))
        near = np.abs(expected) < 1.0
        np.testing.assert_allclose(found[near], expected[near], atol=0.25 * SPACING)


def test_a_blurred_p0_shrinks_towards_what_frames_share(target: Target) -> None:
    smoothed = BASELINES["smoothed"](BaselineSettings(calibration=Calibration(kept={"smoothing_width": 1.5})))
    (blurred,) = (target.scored(s) for s in smoothed.surfaces(target, 1))
    initial = target.scored(target.initial)
    assert 0.7 < iou(blurred.inside, initial.inside) < 0.99


def test_short_simulations_are_kept_and_read_in_the_place_of_p0(target: Target, tmp_path: Path) -> None:
    """What `moedsr data simulate` left, turned: superposed on the store's P0 it is scored as any ensemble."""
    kept = tmp_path / "1l2y_A"
    shutil.copytree(BUNDLED / "1l2y_A", kept)
    (tmp_path / "1l2y_A.cpu.json").write_text('{"cpu_seconds": 70.5}')
    settings = BaselineSettings(structures=tmp_path, simulations=tmp_path)
    frames, whole = score(target, BASELINES["md"](settings), target.frames[:2], meshes=False)
    assert whole.values["seconds"] == 70.5
    assert whole.values["samples"] == 32
    naive, _ = score(target, BASELINES["naive"](settings), target.frames[:2], meshes=False)
    assert np.mean([f.values["energy"] for f in frames]) < np.mean([f.values["energy"] for f in naive])
