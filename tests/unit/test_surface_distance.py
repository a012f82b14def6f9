"""Distances to a surface, not to its vertices."""

import numpy as np
import pytest
import trimesh

from moedsr.geometry.mesh import Mesh, vertex_normals
from moedsr.geometry.surface_distance import distance_to


def test_distance_to_the_middle_of_a_large_triangle() -> None:
    box = trimesh.creation.box(extents=(20.0, 20.0, 20.0))
    vertices, faces = np.asarray(box.vertices), np.asarray(box.faces, dtype=np.int64)
    distance = distance_to(Mesh(vertices, faces, vertex_normals(vertices, faces)))
    points = np.array([[13.0, 2.0, 3.0], [8.0, 1.0, -2.0], [10.0, 4.0, 4.0], [10.0, 10.0, 10.0]])
    assert distance(points) == pytest.approx([3.0, 2.0, 0.0, 0.0], abs=0.3)
    near = distance_to(Mesh(vertices, faces, vertex_normals(vertices, faces)), within=2.5)
    assert near(points) == pytest.approx([np.inf, 2.0, 0.0, 0.0], abs=0.3)


def test_nothing_is_near_an_empty_surface() -> None:
    assert distance_to(Mesh.empty())(np.zeros((2, 3))).tolist() == [np.inf, np.inf]
