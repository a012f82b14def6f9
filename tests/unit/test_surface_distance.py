"""Distances to a surface's triangles, exactly."""

import numpy as np
import pytest
import trimesh

from moedsr.geometry.mesh import Mesh, vertex_normals
from moedsr.geometry.surface_distance import TriangleTree, distance_to


def mesh_of(body: trimesh.Trimesh) -> Mesh:
    vertices, faces = np.asarray(body.vertices, dtype=np.float64), np.asarray(body.faces, dtype=np.int64)
    return Mesh(vertices, faces, vertex_normals(vertices, faces))


def test_distance_to_the_middle_of_a_large_triangle() -> None:
    box = mesh_of(trimesh.creation.box(extents=(20.0, 20.0, 20.0)))
    points = np.array([[13.0, 2.0, 3.0], [8.0, 1.0, -2.0], [10.0, 4.0, 4.0], [13.0, 14.0, 10.0], [11.0, 11.0, 11.0]])
    expected = np.array([3.0, 2.0, 0.0, 5.0, np.sqrt(3)])
    np.testing.assert_allclose(distance_to(box)(points), expected, atol=1e-12)
    within = np.where(expected <= 2.5, expected, np.inf)
    np.testing.assert_allclose(distance_to(box, within=2.5)(points), within, atol=1e-12)


def test_every_triangle_is_found() -> None:
    """Against all triangles one by one, through points of each that are spread densely."""
    rng = np.random.default_rng(0)
    body = mesh_of(trimesh.creation.icosphere(subdivisions=2, radius=1.0))
    body = Mesh(body.vertices * [1.0, 2.0, 0.5], body.faces, body.normals)
    points = rng.normal(0, 1.5, (60, 3))
    weights = rng.dirichlet((1, 1, 1), 400)
    dense = np.einsum("wc,fcx->fwx", weights, body.vertices[body.faces]).reshape(-1, 3)
    brute = np.linalg.norm(points[:, None] - dense, axis=-1).min(1)
    found = TriangleTree(body).closest(points)
    assert (found.distances <= brute + 1e-12).all()
    np.testing.assert_allclose(found.distances, brute, atol=0.05)
    reached = np.einsum("pc,pcx->px", found.weights, body.vertices[body.faces[found.faces]])
    np.testing.assert_allclose(np.linalg.norm(points - reached, axis=1), found.distances, atol=1e-12)
    assert (found.weights > -1e-12).all()


def test_a_surface_is_at_no_distance_from_itself() -> None:
    sphere = mesh_of(trimesh.creation.icosphere(subdivisions=3))
    assert distance_to(sphere)(sphere.vertices).max() == 0.0
    assert distance_to(sphere)(sphere.sample(500, np.random.default_rng(0))[0]).max() < 1e-12


@pytest.mark.parametrize("within", [np.inf, 1.0])
def test_nothing_is_near_an_empty_surface(within: float) -> None:
    assert distance_to(Mesh.empty(), within=within)(np.zeros((2, 3))).tolist() == [np.inf, np.inf]
