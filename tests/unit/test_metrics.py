"""Scores of surfaces whose scores are known in closed form."""

import math

import numpy as np
import pytest
import trimesh

from moedsr.errors import InputError
from moedsr.evaluation.metrics import MeasuredSurface, SurfaceScores, compare_surfaces
from moedsr.geometry.level_set import occupancy_on_grid
from moedsr.geometry.mesh import Mesh
from moedsr.geometry.occupancy import iou

SCALE = 20.0


def sphere(radius: float, shift: tuple[float, float, float] = (0.0, 0.0, 0.0), subdivisions: int = 5) -> Mesh:
    body = trimesh.creation.icosphere(subdivisions=subdivisions, radius=1.0)
    unit = np.asarray(body.vertices, dtype=np.float64)
    return Mesh(unit * radius + np.asarray(shift), np.asarray(body.faces, dtype=np.int64), unit)


def inside(radius: float, shift: float = 0.0) -> np.ndarray:
    return occupancy_on_grid(lambda points: np.linalg.norm(points - [shift, 0, 0], axis=1) - radius, 128)


def compare(truth: Mesh, prediction: Mesh, samples: int = 4000, dsr_unit: float | None = None) -> SurfaceScores:
    surfaces = (MeasuredSurface(mesh, samples) for mesh in (truth, prediction))
    return compare_surfaces(*surfaces, scale=SCALE, dsr_unit=dsr_unit)


def test_iou_of_concentric_spheres() -> None:
    assert iou(inside(0.5), inside(0.6)) == pytest.approx((5 / 6) ** 3, abs=2e-3)
    assert iou(inside(0.5), inside(0.6)) == iou(inside(0.6), inside(0.5))


def test_iou_of_a_shifted_sphere() -> None:
    radius, shift = 0.5, 0.2
    lens = math.pi * (4 * radius + shift) * (2 * radius - shift) ** 2 / 12
    expected = lens / (2 * 4 / 3 * math.pi * radius**3 - lens)
    assert iou(inside(radius), inside(radius, shift)) == pytest.approx(expected, abs=2e-3)


def test_iou_extremes() -> None:
    full, empty = np.ones((4, 4, 4), bool), np.zeros((4, 4, 4), bool)
    assert iou(full, full) == 1.0
    assert iou(full, empty) == iou(empty, full) == 0.0
    assert iou(empty, empty) == 1.0
    with pytest.raises(InputError, match=r"\(4, 4, 4\) and \(5, 4, 4\)"):
        iou(full, np.ones((5, 4, 4), bool))


@pytest.mark.parametrize("samples", [100, 1000, 1_000_000])
def test_a_surface_is_at_no_distance_from_itself(samples: int) -> None:
    """However few points stand for it."""
    scores = compare(sphere(0.5, (0.1, 0, 0)), sphere(0.5, (0.1, 0, 0)), samples)
    assert scores.chamfer == scores.chamfer_dsr == scores.chamfer_l1 == 0.0
    assert scores.normal_consistency == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("radii", [(0.5, 0.6), (0.6, 0.5)])
def test_concentric_spheres(radii: tuple[float, float]) -> None:
    scores = compare(sphere(radii[0]), sphere(radii[1]))
    assert scores.chamfer == pytest.approx(0.0200, rel=0.002)
    assert scores.chamfer_l1 == pytest.approx(0.100, rel=0.001)
    assert scores.chamfer_angstrom == pytest.approx(scores.chamfer * SCALE**2)
    assert scores.chamfer_l1_angstrom == pytest.approx(scores.chamfer_l1 * SCALE)
    assert scores.normal_consistency == pytest.approx(1.0, abs=1e-4)
    assert scores.normal_consistency_signed == pytest.approx(1.0, abs=1e-4)
    assert not scores.failed


def test_chamfer_in_the_units_of_dsr() -> None:
    """Its box holds all frames: another length than ours, by which a squared distance is divided."""
    scores = compare(sphere(0.5), sphere(0.6), dsr_unit=14.0)
    assert scores.chamfer_dsr == pytest.approx(scores.chamfer_angstrom / 14.0**2)


def test_chamfer_is_symmetric() -> None:
    truth, prediction = sphere(0.5), sphere(0.4, (0.2, 0.1, 0))
    there, back = compare(truth, prediction), compare(prediction, truth)
    assert there.chamfer == pytest.approx(back.chamfer)
    assert there.chamfer_l1 == pytest.approx(back.chamfer_l1)


def test_parts_count_by_their_area_and_not_by_their_vertices() -> None:
    """Half of a truth is meshed sixteen times as finely as the other: each counts a half."""
    halves = [sphere(0.2, (-0.5, 0, 0), 5), sphere(0.2, (0.5, 0, 0), 3)]
    faces = np.concatenate([halves[0].faces, halves[1].faces + len(halves[0].vertices)])
    both = Mesh(
        np.concatenate([m.vertices for m in halves]), faces, np.concatenate([m.normals for m in halves])
    )  # fmt: skip
    one = compare(both, halves[0], 10**6)
    gap = compare(halves[1], halves[0], 10**6)
    assert one.chamfer_l1 == pytest.approx(0.5 * 0.5 * _one_way(halves[1], halves[0]), rel=0.02)
    assert gap.chamfer_l1 > one.chamfer_l1


def _one_way(first: Mesh, second: Mesh) -> float:
    measured = MeasuredSurface(first, 10**6)
    return float(measured.shares @ MeasuredSurface(second, 1).tree.closest(measured.points).distances)


def test_normals_run_from_truth_to_prediction() -> None:
    """A prediction with a superfluous part pays in Chamfer, not in normals."""
    truth, more = sphere(0.2, (-0.5, 0, 0)), sphere(0.2, (0.5, 0, 0))
    faces = np.concatenate([truth.faces, more.faces + len(truth.vertices)])
    both = Mesh(
        np.concatenate([truth.vertices, more.vertices]), faces, np.concatenate([truth.normals, more.normals])
    )  # fmt: skip
    scores = compare(truth, both)
    assert scores.normal_consistency == pytest.approx(1.0, abs=1e-12)
    assert scores.chamfer > 0.2


def test_random_normals_score_one_half() -> None:
    rng = np.random.default_rng(0)
    body = sphere(0.5)
    normals = rng.normal(size=body.normals.shape)
    turned = Mesh(body.vertices, body.faces, normals / np.linalg.norm(normals, axis=1, keepdims=True))
    scores = compare(body, turned, 10**6)
    assert scores.normal_consistency == pytest.approx(0.5, abs=0.01)
    assert scores.normal_consistency_signed == pytest.approx(0.0, abs=0.02)


def test_an_empty_prediction_fails_and_is_charged_the_cube() -> None:
    scores = compare(sphere(0.5), Mesh.empty(), samples=100)
    assert scores.failed
    assert scores.chamfer == pytest.approx(24.0)
    assert scores.chamfer_l1 == pytest.approx(math.sqrt(12.0))
    assert scores.chamfer_l1_angstrom == pytest.approx(math.sqrt(12.0) * SCALE)
    assert scores.normal_consistency == scores.normal_consistency_signed == 0.0
    assert scores.as_dict()["failed"] == 1.0


def test_an_empty_truth_is_wrong_input() -> None:
    with pytest.raises(InputError, match="true surface has 0 points"):
        compare(Mesh.empty(), sphere(0.5), samples=100)
