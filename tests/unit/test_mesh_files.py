"""Meshes come back from every format as they were."""

from pathlib import Path

import numpy as np
import pytest
import trimesh

from moedsr.geometry.mesh import Mesh, vertex_normals
from moedsr.geometry.mesh_files import MESH_FORMATS


@pytest.fixture
def ball() -> Mesh:
    sphere = trimesh.creation.icosphere(2, radius=7.0)
    vertices, faces = np.asarray(sphere.vertices) + 20.0, np.asarray(sphere.faces, dtype=np.int64)
    return Mesh(vertices, faces, vertex_normals(vertices, faces))


@pytest.mark.parametrize("kind", sorted(MESH_FORMATS))
def test_an_independent_reader_finds_the_same_mesh(ball: Mesh, tmp_path: Path, kind: str) -> None:
    MESH_FORMATS[kind](ball, tmp_path / f"ball.{kind}")
    read = trimesh.load(tmp_path / f"ball.{kind}", force="mesh", process=False)
    assert np.allclose(read.vertices, ball.vertices, atol=1e-4)
    assert np.array_equal(read.faces, ball.faces)
    assert [path.name for path in tmp_path.iterdir()] == [f"ball.{kind}"]


def test_normals_are_written(ball: Mesh, tmp_path: Path) -> None:
    """The reader above makes its own."""
    MESH_FORMATS["obj"](ball, tmp_path / "ball.obj")
    lines = [line.split()[1:] for line in (tmp_path / "ball.obj").read_text().splitlines() if line.startswith("vn ")]
    assert np.allclose(np.array(lines, dtype=float), ball.normals, atol=1e-4)
    MESH_FORMATS["glb"](ball, tmp_path / "ball.glb")
    size = ball.normals.size
    stored = (tmp_path / "ball.glb").read_bytes()[-4 * (ball.faces.size + size) : -4 * ball.faces.size]
    assert np.allclose(np.frombuffer(stored, "<f4").reshape(-1, 3), ball.normals)


@pytest.mark.parametrize("kind", sorted(MESH_FORMATS))
def test_an_empty_mesh_is_written_too(tmp_path: Path, kind: str) -> None:
    MESH_FORMATS[kind](Mesh.empty(), tmp_path / f"none.{kind}")
    assert (tmp_path / f"none.{kind}").is_file()
