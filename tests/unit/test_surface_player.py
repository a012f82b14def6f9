"""The page holds everything it plays, and nothing from elsewhere."""

import base64
import json
import re
import shutil
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest

from moedsr.geometry.mesh import Mesh
from moedsr.surface_player import PlayedFrame, write_player

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def tetrahedron(size: float) -> Mesh:
    vertices = np.array([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * size
    faces = np.array([[0, 1, 2], [0, 3, 1], [0, 2, 3], [1, 3, 2]])
    return Mesh(vertices + 30.0, faces, vertices / np.linalg.norm(vertices, axis=1, keepdims=True))


@pytest.fixture
def page(tmp_path: Path) -> Path:
    frames = [
        PlayedFrame(tetrahedron(5.0), "t = -1 </script>", np.zeros(4)),
        PlayedFrame(Mesh.empty(), "t = 0", np.zeros(0)),
        PlayedFrame(tetrahedron(8.0), "t = 1", np.array([0.0, 1.0, 2.0, 4.0])),
    ]
    write_player(tmp_path / "page.html", frames, title="one <two>", values="from P0")
    return tmp_path / "page.html"


def part(page: str, name: str) -> str:
    match = re.search(rf'<script id="{name}"[^>]*>(.*?)</script>', page, re.DOTALL)
    assert match
    return match[1]


def test_the_page_holds_the_surfaces(page: Path) -> None:
    text = page.read_text()
    head, body = json.loads(part(text, "head")), zlib.decompress(base64.b64decode(part(text, "body")))
    assert [frame["label"] for frame in head["frames"]] == ["t = -1 </script>", "t = 0", "t = 1"]
    assert [frame["start"] % 4 for frame in head["frames"]] == [0, 0, 0]
    last = head["frames"][2]
    faces = np.frombuffer(body, "<u4", 3 * last["faces"], last["start"]).reshape(-1, 3)
    places = np.frombuffer(body, "<i2", 3 * last["vertices"], last["start"] + faces.nbytes).reshape(-1, 3)
    values = np.frombuffer(body, "u1", last["vertices"], last["start"] + faces.nbytes + places.nbytes)
    assert np.array_equal(faces, tetrahedron(8.0).faces)
    assert np.allclose(places * head["step"], tetrahedron(8.0).vertices - 30.0, atol=2 * head["step"])
    assert values.tolist() == [0, 64, 128, 255]
    assert head["largest"] == 4.0


def test_the_page_needs_nothing_from_elsewhere(page: Path) -> None:
    text = page.read_text()
    assert "{{" not in text
    assert "one &lt;two&gt;" in text
    assert not re.search(r"https?://|src=|import |fetch\(", text)
    assert [path.name for path in page.parent.iterdir()] == ["page.html"]


def test_no_frame_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one frame"):
        write_player(tmp_path / "page.html", [], title="none")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (apt install chromium)")
def test_a_browser_draws_the_surface(page: Path) -> None:
    """The script has run to its end: the first frame is drawn and named."""
    assert CHROMIUM is not None
    flags = ["--headless", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    command = [CHROMIUM, *flags, "--virtual-time-budget=5000", "--dump-dom", f"file://{page}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert 'data-frame="0"' in done.stdout
    assert '<span id="label">t = -1 &lt;/script&gt;</span>' in done.stdout
    assert '<p id="failure" hidden="">' in done.stdout
