import numpy as np
import pytest
import trimesh

from moedsr.geometry.mesh import Mesh, vertex_normals


def sphere(radius=1.0, subdivisions=4):
    body = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)
    vertices = np.asarray(body.vertices, dtype=np.float64)
    return Mesh(vertices, np.asarray(body.faces, dtype=np.int64), vertices / radius)


def test_area_and_volume_of_a_box():
    body = trimesh.creation.box(extents=(1, 2, 3))
    vertices, faces = np.asarray(body.vertices), np.asarray(body.faces)
    mesh = Mesh(vertices, faces, vertex_normals(vertices, faces))
    assert mesh.area == pytest.approx(22.0)
    assert mesh.volume == pytest.approx(6.0)
    moved = mesh.moved(scale=2.0, shift=np.array([1.0, 0, 0]))
    assert moved.volume == pytest.approx(48.0)
    assert moved.vertices[:, 0].min() == pytest.approx(0.0)


def test_vertex_normals_of_a_sphere_are_radial():
    mesh = sphere()
    normals = vertex_normals(mesh.vertices, mesh.faces)
    assert np.einsum("ij,ij->i", normals, mesh.normals).min() > 0.999


def test_samples_lie_on_the_faces_uniformly_by_area():
    body = trimesh.creation.box(extents=(1, 2, 3))
    vertices, faces = np.asarray(body.vertices), np.asarray(body.faces)
    mesh = Mesh(vertices, faces, vertex_normals(vertices, faces))
    points, normals = mesh.sample(40_000, np.random.default_rng(0))
    np.testing.assert_allclose(np.abs(points / [0.5, 1.0, 1.5]).max(axis=1), 1.0)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1.0)
    for axis, area in ((0, 12.0), (1, 6.0), (2, 4.0)):
        on_face = np.isclose(np.abs(points[:, axis]), [0.5, 1.0, 1.5][axis])
        assert on_face.mean() == pytest.approx(area / 22.0, abs=0.01)
    # within one face the mean is its middle
    top = points[np.isclose(points[:, 0], 0.5)]
    np.testing.assert_allclose(top.mean(axis=0), [0.5, 0, 0], atol=0.04)


def test_samples_depend_on_the_generator_alone():
    mesh = sphere()
    first, again = (mesh.sample(100, np.random.default_rng(3))[0] for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_interpolated_normals_of_a_sphere_are_radial():
    points, normals = sphere(radius=3.0).sample(1000, np.random.default_rng(0))
    assert np.einsum("ij,ij->i", normals, points / np.linalg.norm(points, axis=1, keepdims=True)).min() > 0.999


def test_an_empty_mesh_has_no_area_and_no_samples():
    mesh = Mesh.empty()
    assert mesh.is_empty
    assert mesh.area == mesh.volume == 0.0
    points, normals = mesh.sample(10, np.random.default_rng(0))
    assert points.shape == normals.shape == (0, 3)


def test_ply_is_read_back_by_trimesh(tmp_path):
    mesh = sphere(radius=12.5, subdivisions=2)
    path = tmp_path / "surface.ply"
    path.write_text("an older file")
    mesh.write_ply(path)
    body = trimesh.load(path, process=False)
    np.testing.assert_allclose(body.vertices, mesh.vertices, atol=1e-5)
    np.testing.assert_array_equal(body.faces, mesh.faces)
    np.testing.assert_allclose(body.vertex_normals, mesh.normals, atol=1e-6)
    assert body.is_watertight
    assert [entry.name for entry in tmp_path.iterdir()] == ["surface.ply"]


def test_an_empty_mesh_is_a_valid_ply(tmp_path):
    Mesh.empty().write_ply(tmp_path / "empty.ply")
    assert b"element vertex 0\n" in (tmp_path / "empty.ply").read_bytes()


def test_a_failed_write_leaves_nothing_behind(tmp_path):
    broken = Mesh(np.zeros((3, 2)), np.zeros((1, 3), dtype=np.int64), np.zeros((3, 3)))
    with pytest.raises(IndexError):
        broken.write_ply(tmp_path / "surface.ply")
    assert not list(tmp_path.iterdir())


def test_ply_with_colours(tmp_path):
    mesh = Mesh(np.eye(3), np.array([[0, 1, 2]]), np.eye(3))
    colours = np.array([[255, 0, 0], [0, 128, 0], [0, 0, 7]], dtype=np.uint8)
    mesh.write_ply(tmp_path / "c.ply", colours)
    loaded = trimesh.load(tmp_path / "c.ply", process=False)
    np.testing.assert_array_equal(loaded.visual.vertex_colors[:, :3], colours)
    np.testing.assert_allclose(loaded.vertices, mesh.vertices)
