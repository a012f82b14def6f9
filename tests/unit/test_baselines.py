import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from moedsr.errors import InputError
from moedsr.evaluation.baselines import (
    fit_smoothing_width,
    gap_closed,
    leave_one_out_levels,
    metric_grid_mesh,
    naive_ious,
    oracle_ious,
    random_frame_ious,
    smoothed_ious,
)
from moedsr.geometry.occupancy import iou, smoothed_distance
from moedsr.geometry.surface import solvent_excluded_surface
from moedsr.structures.superpose import superpose

NODES, SCALE = 40, 12.0
SPACING = 2 * SCALE / (NODES - 1)


def ball(radius, x=0.0, nodes=NODES):
    axis = np.linspace(-1, 1, nodes)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    return np.linalg.norm(grid - [x, 0, 0], axis=-1) - radius


def trajectory(frames, wobble, seed=0):
    """A compact cluster of atoms, Å, jittering independently about its mean."""
    rng = np.random.default_rng(seed)
    mean = rng.normal(0, 3.0, (40, 3))
    return [mean + rng.normal(0, wobble, mean.shape) for _ in range(frames)]


def occupancy(atoms):
    return solvent_excluded_surface(atoms, np.full(len(atoms), 1.7)).occupancy(np.zeros(3), SCALE, NODES)


def test_naive_is_the_iou_with_the_first_conformation():
    frames = [ball(0.5) < 0, ball(0.6) < 0]
    scores = naive_ious(ball(0.5) < 0, frames)
    assert scores[0] == 1.0
    assert scores[1] == pytest.approx((5 / 6) ** 3, abs=0.01)


def test_a_rigid_motion_is_no_motion_after_superposition():
    atoms = trajectory(1, 0.0)[0]
    rng = np.random.default_rng(1)
    frames = []
    for _ in range(3):
        moved = atoms @ Rotation.random(rng=rng).as_matrix().T + rng.normal(0, 20, 3)
        rotation, translation = superpose(moved, atoms)
        frames.append(occupancy(moved @ rotation.T + translation))
    np.testing.assert_allclose(naive_ious(occupancy(atoms), frames), 1.0, atol=2e-3)


def test_the_oracle_leaves_the_scored_frame_out():
    frames = [ball(0.3, x) < 0 for x in (-0.5, 0.0, 0.5)]
    # no node is inside half of the other two frames unless in one of them
    expected = [iou(frames[1] | frames[2], frames[0])]
    assert oracle_ious(frames)[0] == expected[0]
    levels = list(leave_one_out_levels(frames))
    np.testing.assert_array_equal(levels[1] < 0, frames[0] | frames[2])


def test_the_oracle_outvotes_an_outlier():
    frames = [ball(0.5) < 0] * 4 + [ball(0.2) < 0]
    scores = oracle_ious(frames)
    assert (scores[:4] == 1.0).all()
    assert scores[4] == pytest.approx((0.2 / 0.5) ** 3, abs=0.02)


def test_order_of_the_baselines_on_a_fluctuating_protein():
    frames = [occupancy(atoms) for atoms in trajectory(8, 0.5)]
    start = solvent_excluded_surface(trajectory(1, 0.5)[0], np.full(40, 1.7))
    distance = start.on_metric_grid(np.zeros(3), SCALE, NODES)
    naive = naive_ious(distance < 0, frames[1:]).mean()
    width = fit_smoothing_width([(distance, SPACING, frames[1:])])
    smoothed = smoothed_ious(distance, SPACING, width, frames[1:]).mean()
    oracle = oracle_ious(frames[1:]).mean()
    assert naive <= smoothed < oracle
    assert 0 <= gap_closed(smoothed, naive, oracle) < 1
    assert abs(random_frame_ious(frames[1:], np.random.default_rng(0)).mean() - naive) < 0.05


def test_a_random_frame_is_never_the_frame_itself():
    frames = [ball(0.1 * (index + 1)) < 0 for index in range(6)]
    for seed in range(10):
        assert (random_frame_ious(frames, np.random.default_rng(seed)) < 1.0).all()


def test_smoothing_nothing_changes_no_sign():
    distance = SCALE * ball(0.5)
    np.testing.assert_array_equal(smoothed_distance(distance, SPACING, 0.0) < 0, distance < 0)


def test_smoothing_a_capped_distance_equals_smoothing_the_whole_one():
    """The store's distance stops growing a few Å outside; the blurred surface must not notice."""
    whole = SCALE * ball(0.5)
    capped = np.minimum(whole, 2.4)
    for width in (1.0, 2.0):
        expected, found = (smoothed_distance(x, SPACING, width) for x in (whole, capped))
        near = np.abs(expected) < 1.0
        np.testing.assert_allclose(found[near], expected[near], atol=0.25 * SPACING)


def test_the_width_is_the_best_on_average_over_proteins():
    distance = SCALE * ball(0.5)
    shrunk = [smoothed_distance(distance, SPACING, 2.0) < 0]
    same = [distance < 0]
    assert fit_smoothing_width([(distance, SPACING, same)], (0.0, 2.0)) == 0.0
    assert fit_smoothing_width([(distance, SPACING, shrunk)], (0.0, 2.0)) == 2.0
    with pytest.raises(InputError, match="fitted on 0 proteins"):
        fit_smoothing_width([])


def test_meshes_of_levels_are_in_normalised_units():
    mesh = metric_grid_mesh(ball(0.5))
    np.testing.assert_allclose(np.linalg.norm(mesh.vertices, axis=1), 0.5, atol=0.01)
    voted = metric_grid_mesh(next(leave_one_out_levels([ball(0.5) < 0] * 3)))
    np.testing.assert_allclose(np.linalg.norm(voted.vertices, axis=1), 0.5, atol=2 / NODES)


def test_gap_closed():
    assert gap_closed(0.70, 0.70, 0.78) == 0.0
    assert gap_closed(0.78, 0.70, 0.78) == pytest.approx(1.0)
    assert gap_closed(0.66, 0.70, 0.78) == pytest.approx(-0.5)
    assert math.isnan(gap_closed(0.7, 0.7, 0.7))


@pytest.mark.parametrize("baseline", [oracle_ious, lambda frames: random_frame_ious(frames, np.random.default_rng())])
def test_a_single_frame_has_no_others(baseline):
    with pytest.raises(InputError, match="1 frames given"):
        baseline([ball(0.5) < 0])
