import tracemalloc

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial import KDTree

from moedsr.geometry.level_set import (
    extract_level_set,
    occupancy_on_grid,
    values_on_metric_grid,
    zero_surface,
)


def sphere(radius, centre=(0.0, 0.0, 0.0)):
    return lambda points: np.linalg.norm(points - np.asarray(centre), axis=1) - radius


def blobs(points):
    """Twelve spheres of different sizes: a distance field with creases and several components."""
    rng = np.random.default_rng(4)
    centres, radii = rng.uniform(-0.7, 0.7, (12, 3)), rng.uniform(0.05, 0.3, 12)
    return (np.linalg.norm(points[:, None] - centres, axis=2) - radii).min(axis=1)


def rippled(points):
    """A molecule's smooth distance as training leaves it: slopes between 0.7 and 1.3, ripples, no exact zero slope."""
    rng = np.random.default_rng(4)
    atoms = rng.normal(size=(60, 3))
    atoms *= 0.55 * rng.random((60, 1)) ** (1 / 3) / np.linalg.norm(atoms, axis=1, keepdims=True)
    distance, _ = KDTree(atoms).query(points, k=4)
    smooth = -0.03 * np.log(np.exp(-(distance - 0.13) / 0.03).sum(axis=1))
    slope = 1 + 0.3 * np.sin(9 * points[:, 0]) * np.cos(7 * points[:, 1])
    return slope * smooth + 0.01 * np.sin(25 * points).prod(axis=1)


def assert_closed(mesh):
    for merge in (False, True):
        body = trimesh.Trimesh(mesh.vertices, mesh.faces, process=merge)
        assert body.is_watertight
        assert body.is_winding_consistent
    assert body.volume > 0
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1.0, atol=1e-9)


def test_sphere_has_its_radius_and_outward_normals():
    result = extract_level_set(sphere(0.6, (0.1, -0.05, 0.2)), resolution=64)
    radial = result.mesh.vertices - [0.1, -0.05, 0.2]
    np.testing.assert_allclose(np.linalg.norm(radial, axis=1), 0.6, atol=1e-3)
    assert np.einsum("ij,ij->i", radial / 0.6, result.mesh.normals).min() > 0.98
    assert not result.touches_border
    assert_closed(result.mesh)


@pytest.mark.parametrize("resolution", [2, 9, 40, 64, 65])
@pytest.mark.parametrize("field", [sphere(0.6), blobs, rippled], ids=["sphere", "blobs", "rippled"])
def test_coarse_to_fine_equals_dense_evaluation(field, resolution):
    sparse = extract_level_set(field, resolution=resolution)
    dense = extract_level_set(field, resolution=resolution, lipschitz=np.inf)
    np.testing.assert_array_equal(sparse.mesh.vertices, dense.mesh.vertices)
    np.testing.assert_array_equal(sparse.mesh.faces, dense.mesh.faces)
    assert dense.evaluations == resolution**3
    assert sparse.evaluations <= dense.evaluations


def test_fields_up_to_the_stated_slope_lose_nothing():
    """A steep field next to a flat one, both within the bound: thin sheets that no coarse node sees."""

    def sheet(points):
        return 1.9 * (np.abs(points[:, 0] - 0.0157) - 0.004)

    sparse = extract_level_set(sheet, resolution=129, lipschitz=2.0)
    dense = extract_level_set(sheet, resolution=129, lipschitz=np.inf)
    assert not dense.mesh.is_empty
    np.testing.assert_array_equal(sparse.mesh.vertices, dense.mesh.vertices)


def test_most_evaluations_are_saved():
    assert extract_level_set(sphere(0.5)).evaluations < 128**3 / 8


@pytest.mark.parametrize("field", [sphere(0.6), rippled], ids=["sphere", "rippled"])
def test_fine_grids_take_a_tenth_of_the_evaluations_and_bounded_memory(field):
    """At 256³; tests/benchmarks compares with all nodes."""
    nodes, seen = 256, []

    def counted(points):
        seen.append(len(points))
        return field(points)

    tracemalloc.start()
    values = values_on_metric_grid(counted, nodes)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert values.shape == (nodes,) * 3
    assert sum(seen) <= nodes**3 / 10
    assert max(seen) <= 65_536
    assert peak < 24 * nodes**3


def test_every_point_is_evaluated_once_in_chunks():
    seen = []

    def field(points):
        seen.append(points.copy())
        return sphere(0.5)(points)

    result = extract_level_set(field, resolution=40, chunk=1000)
    assert max(map(len, seen)) <= 1000
    assert len(np.unique(np.concatenate(seen), axis=0)) == sum(map(len, seen)) == result.evaluations


def test_nodes_exactly_on_the_surface():
    # the octahedron |x| + |y| + |z| = 1/2 passes through many nodes of this grid
    result = extract_level_set(lambda points: np.abs(points).sum(axis=1) - 0.5, resolution=33)
    assert_closed(result.mesh)
    assert result.mesh.volume == pytest.approx(0.5**3 * 4 / 3, rel=0.02)


def test_several_components():
    result = extract_level_set(
        lambda points: np.minimum(sphere(0.2, (0.5, 0, 0))(points), sphere(0.3, (-0.5, 0, 0))(points))
    )
    assert trimesh.Trimesh(result.mesh.vertices, result.mesh.faces).body_count == 2
    assert_closed(result.mesh)


def test_a_surface_that_leaves_the_cube_is_closed_and_reported():
    result = extract_level_set(sphere(0.8, (0.9, 0, 0)), resolution=48)
    assert result.touches_border
    assert_closed(result.mesh)
    assert np.abs(result.mesh.vertices).max() < 1.0 + 2.0 / 47


def test_a_wider_cube_holds_it():
    result = extract_level_set(sphere(0.8, (0.9, 0, 0)), resolution=64, half_width=2.0)
    assert not result.touches_border
    assert result.mesh.volume == pytest.approx(4 / 3 * np.pi * 0.8**3, rel=0.02)


def test_everything_outside_is_an_empty_mesh():
    for constant in (1.0, 0.0):
        result = extract_level_set(lambda points, value=constant: np.full(len(points), value), resolution=16)
        assert result.mesh.is_empty
        assert not result.touches_border


def test_everything_inside_is_the_cube():
    result = extract_level_set(lambda points: np.full(len(points), -1.0), resolution=16)
    assert result.touches_border
    assert_closed(result.mesh)
    assert result.mesh.volume == pytest.approx(8.0, rel=0.25)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_field_with_nodes_that_are_not_finite_still_gives_a_closed_mesh(wrong):
    def field(points):
        values = sphere(0.5)(points)
        values[np.abs(points[:, 0]) < 0.1] = wrong
        return values

    assert_closed(extract_level_set(field, resolution=32).mesh)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 100_000), blur=st.sampled_from([0.0, 1.0, 2.0]), zeros=st.sampled_from([0.0, 0.3]))
def test_any_values_give_a_closed_mesh(seed, blur, zeros):
    rng = np.random.default_rng(seed)
    values = ndimage.gaussian_filter(rng.normal(size=(14, 14, 14)), blur)
    values[rng.random(values.shape) < zeros] = 0.0
    assert_closed(zero_surface(values, origin=np.zeros(3), spacing=1.0))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 100_000))
def test_whole_numbers_give_a_closed_mesh(seed):
    values = np.random.default_rng(seed).integers(-1, 2, (14, 14, 14))
    assert_closed(zero_surface(values, origin=np.zeros(3), spacing=1.0))


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_occupancy_is_the_sign_on_the_metric_grid(stride):
    axis = np.linspace(-1, 1, 64)[::stride]
    nodes = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    expected = blobs(nodes).reshape((len(axis),) * 3)
    np.testing.assert_array_equal(occupancy_on_grid(blobs, 64, stride), expected < 0)
    values = values_on_metric_grid(blobs, 64, stride)
    np.testing.assert_array_equal(values < 0, expected < 0)
    near = np.abs(expected) < 0.02
    np.testing.assert_allclose(values[near], expected[near], atol=1e-6)
