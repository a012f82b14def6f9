"""What `moedsr predict` writes, from surfaces that need no model."""

from pathlib import Path

import numpy as np
import pytest
import trimesh

from moedsr.geometry.mesh import Mesh, vertex_normals
from moedsr.inference.inference import PredictedSurface
from moedsr_platform.cli.predict import table_of, write_page, write_surface


def ball(radius: float) -> Mesh:
    sphere = trimesh.creation.icosphere(1, radius=radius)
    vertices, faces = np.asarray(sphere.vertices), np.asarray(sphere.faces, dtype=np.int64)
    return Mesh(vertices, faces, vertex_normals(vertices, faces))


@pytest.fixture
def surfaces() -> list[PredictedSurface]:
    meshes = (Mesh.empty(), ball(5.0), ball(6.0))
    return [PredictedSurface(time, mesh, False) for time, mesh in zip((-1.0, 0.0, 1.0), meshes, strict=True)]


@pytest.mark.parametrize("kind", ["ply", "obj", "glb"])
def test_one_mesh_a_time_in_the_wanted_format(surfaces: list[PredictedSurface], tmp_path: Path, kind: str) -> None:
    table = table_of([write_surface(one, tmp_path / "new", f"1abc_{n:03d}", kind) for n, one in enumerate(surfaces)])
    names = [f"1abc_000_t-1.000.{kind}", f"1abc_001_t+0.000.{kind}", f"1abc_002_t+1.000.{kind}"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == names
    assert [row[-1] for row in table.rows] == ["empty", "", ""]
    assert trimesh.load(tmp_path / "new" / names[2], force="mesh").extents.max() == pytest.approx(12.0, abs=0.6)


@pytest.mark.parametrize("count", [1, 3])
def test_page_plays_all_of_them_even_the_empty(surfaces: list[PredictedSurface], tmp_path: Path, count: int) -> None:
    path = write_page(surfaces[:count], tmp_path, "1abc")
    assert path.name == "1abc.html"
    assert path.read_text().count('"t = ') == count
