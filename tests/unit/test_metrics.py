"""Scores of surfaces whose scores are known in closed form."""

import math

import numpy as np
import pytest
import trimesh

from moedsr.errors import InputError
from moedsr.evaluation.metrics import compare_meshes, surface_scores
from moedsr.geometry.level_set import occupancy_on_grid
from moedsr.geometry.mesh import Mesh
from moedsr.geometry.occupancy import iou

SCALE = 20.0


def sphere(radius, shift=(0.0, 0.0, 0.0)):
    body = trimesh.creation.icosphere(subdivisions=5, radius=1.0)
    unit = np.asarray(body.vertices, dtype=np.float64)
    return Mesh(unit * radius + np.asarray(shift), np.asarray(body.faces, dtype=np.int64), unit)


def inside(radius, shift=0.0):
    return occupancy_on_grid(lambda points: np.linalg.norm(points - [shift, 0, 0], axis=1) - radius, 128)


def compare(truth, prediction, samples=20_000):
    return compare_meshes(truth, prediction, scale=SCALE, samples=samples, rng=np.random.default_rng(0))


def test_iou_of_concentric_spheres():
    assert iou(inside(0.5), inside(0.6)) == pytest.approx((5 / 6) ** 3, abs=2e-3)
    assert iou(inside(0.5), inside(0.6)) == iou(inside(0.6), inside(0.5))


def test_iou_of_a_shifted_sphere():
    radius, shift = 0.5, 0.2
    lens = math.pi * (4 * radius + shift) * (2 * radius - shift) ** 2 / 12
    expected = lens / (2 * 4 / 3 * math.pi * radius**3 - lens)
    assert iou(inside(radius), inside(radius, shift)) == pytest.approx(expected, abs=2e-3)


def test_iou_extremes():
    full, empty = np.ones((4, 4, 4), bool), np.zeros((4, 4, 4), bool)
    assert iou(full, full) == 1.0
    assert iou(full, empty) == iou(empty, full) == 0.0
    assert iou(empty, empty) == 1.0
    with pytest.raises(InputError, match=r"\(4, 4, 4\) and \(5, 4, 4\)"):
        iou(full, np.ones((5, 4, 4), bool))


@pytest.mark.parametrize("radii", [(0.5, 0.6), (0.6, 0.5)])
def test_concentric_spheres(radii):
    scores = compare(sphere(radii[0]), sphere(radii[1]))
    # nearest samples are not quite radial; that adds a hundredth
    assert scores.chamfer == pytest.approx(0.0200, rel=0.02)
    assert scores.chamfer_l1 == pytest.approx(0.100, rel=0.01)
    assert scores.chamfer_angstrom == pytest.approx(scores.chamfer * SCALE**2)
    assert scores.chamfer_l1_angstrom == pytest.approx(scores.chamfer_l1 * SCALE)
    assert scores.normal_consistency == pytest.approx(1.0, abs=1e-3)
    assert scores.normal_consistency_signed == pytest.approx(1.0, abs=1e-3)
    assert not scores.failed


def test_chamfer_is_symmetric():
    truth, prediction = sphere(0.5), sphere(0.4, (0.2, 0.1, 0))
    there, back = compare(truth, prediction), compare(prediction, truth)
    assert there.chamfer == pytest.approx(back.chamfer, rel=0.02)
    assert there.chamfer_l1 == pytest.approx(back.chamfer_l1, rel=0.02)


def test_points_with_known_distances():
    normals = np.array([[0.0, 0, 1], [0, 0, 1]])
    scores = surface_scores(
        truth_points=np.array([[0.0, 0, 0], [1, 0, 0]]),
        truth_normals=normals,
        predicted_points=np.array([[0.0, 0, 0.3]]),
        predicted_normals=np.array([[0.0, 0.6, -0.8]]),
        scale=SCALE,
    )
    assert scores.chamfer == pytest.approx((0.09 + 1.09) / 2 + 0.09)
    assert scores.chamfer_l1 == pytest.approx(0.5 * ((0.3 + math.sqrt(1.09)) / 2 + 0.3))
    assert scores.normal_consistency == pytest.approx(0.8)
    assert scores.normal_consistency_signed == pytest.approx(-0.8)


def test_normals_run_from_truth_to_prediction():
    """A prediction with a superfluous part pays in Chamfer, not in normals."""
    truth = np.array([[0.0, 0, 0]])
    scores = surface_scores(
        truth_points=truth,
        truth_normals=np.array([[0.0, 0, 1]]),
        predicted_points=np.array([[0.0, 0, 0], [1, 0, 0]]),
        predicted_normals=np.array([[0.0, 0, 1], [1, 0, 0]]),
        scale=SCALE,
    )
    assert scores.normal_consistency == 1.0
    assert scores.chamfer == pytest.approx(0.5)


def test_random_normals_score_one_half():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(50_000, 3))
    first, second = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in rng.normal(size=(2, 50_000, 3)))
    scores = surface_scores(
        truth_points=points,
        truth_normals=first,
        predicted_points=points,
        predicted_normals=second,
        scale=SCALE,
    )
    assert scores.normal_consistency == pytest.approx(0.5, abs=0.01)
    assert scores.normal_consistency_signed == pytest.approx(0.0, abs=0.01)


def test_an_empty_prediction_fails_and_is_charged_the_cube():
    scores = compare(sphere(0.5), Mesh.empty(), samples=100)
    assert scores.failed
    assert scores.chamfer == pytest.approx(24.0)
    assert scores.chamfer_l1 == pytest.approx(math.sqrt(12.0))
    assert scores.chamfer_l1_angstrom == pytest.approx(math.sqrt(12.0) * SCALE)
    assert scores.normal_consistency == scores.normal_consistency_signed == 0.0
    assert scores.as_dict()["failed"] == 1.0


def test_an_empty_truth_is_wrong_input():
    with pytest.raises(InputError, match="true surface has 0 points"):
        compare(Mesh.empty(), sphere(0.5), samples=100)
