"""Pictures: what is drawn where, files complete, nothing global touched."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from moedsr.geometry.mesh import Mesh
from moedsr.pictures.surfaces import VIEW, write_coloured, write_overview


def tetrahedron(size: float) -> Mesh:
    vertices = size * np.array([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    faces = np.array([[0, 1, 2], [0, 3, 1], [0, 2, 3], [1, 3, 2]])
    return Mesh(vertices, faces, vertices / np.linalg.norm(vertices, axis=1, keepdims=True))


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB")).astype(float)


def reddish(image: np.ndarray) -> int:
    """Strong red away from the colour bar, which takes the last eighth."""
    surface = image[:, : image.shape[1] * 7 // 8]
    return int(((surface[..., 0] > 1.8 * surface[..., 2]) & (surface[..., 0] > 60)).sum())


def test_view_is_a_rotation() -> None:
    np.testing.assert_allclose(VIEW @ VIEW.T, np.eye(3), atol=0.01)
    assert np.linalg.det(VIEW) == pytest.approx(1, abs=0.01)


def test_overview_shows_errors_in_red_and_only_there(tmp_path: Path) -> None:
    truth = tetrahedron(10)
    write_overview(tmp_path / "good.png", times=[0], truths=[truth], predictions=[truth], title="good")
    far = truth.moved(scale=1.6)
    write_overview(tmp_path / "bad.png", times=[0], truths=[truth], predictions=[far], title="bad")
    assert reddish(pixels(tmp_path / "bad.png")) > 1000
    assert reddish(pixels(tmp_path / "bad.png")) > 3 * reddish(pixels(tmp_path / "good.png"))


def test_overview_of_empty_surfaces(tmp_path: Path) -> None:
    path = tmp_path / "new" / "overview.png"
    write_overview(
        path,
        times=[-1, 1],
        truths=[tetrahedron(1), Mesh.empty()],
        predictions=[Mesh.empty()] * 2,
        title="empty",
    )
    assert pixels(path).shape[2] == 3
    assert [file.name for file in path.parent.iterdir()] == ["overview.png"]


def test_overview_refuses_unequal_lists(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="2 times, 1 truths, 1 predictions"):
        write_overview(tmp_path / "x.png", times=[0, 1], truths=[Mesh.empty()], predictions=[Mesh.empty()], title="")


def test_surfaces_in_their_own_colours(tmp_path: Path) -> None:
    mesh = tetrahedron(10)
    red, blue = (np.tile(colour, (4, 1)) for colour in ([1.0, 0, 0], [0, 0, 1.0]))
    path = tmp_path / "coloured.png"
    legend = [("one", "red"), ("two", "blue")]
    write_coloured(path, times=[-1, 1], meshes=[mesh, mesh], colours=[red, blue], legend=legend, title="two")
    image = pixels(path)
    half = image.shape[1] // 2
    upper = image[: image.shape[0] * 3 // 4]
    assert (upper[:, :half, 0] > 2 * upper[:, :half, 2] + 50).sum() > 1000
    assert (upper[:, half:, 2] > 2 * upper[:, half:, 0] + 50).sum() > 1000


def test_pyplot_is_not_imported() -> None:
    import subprocess

    code = "import moedsr.pictures.surfaces, sys; print('matplotlib.pyplot' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
