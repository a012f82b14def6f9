"""The page holds everything it plays, and nothing from elsewhere; what a browser does with it is tested elsewhere."""

import base64
import json
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moedsr.geometry.mesh import Mesh
from moedsr.pictures.surface_player import View, write_player


def tetrahedron(size: float) -> Mesh:
    vertices = np.array([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * size
    faces = np.array([[0, 1, 2], [0, 3, 1], [0, 2, 3], [1, 3, 2]])
    return Mesh(vertices + 30.0, faces, vertices / np.linalg.norm(vertices, axis=1, keepdims=True))


MESHES = [tetrahedron(5.0), Mesh.empty(), tetrahedron(8.0)]
LABELS = ["t = -1 </script>", "t = 0", "t = 1"]
MOTION = View(
    name="motion",
    meshes=MESHES,
    values=[np.zeros(4), np.zeros(0), np.array([4.0, 4.0, 2.0, np.inf])],
    note="Å from P0",
)
EXPERTS = View(
    name="experts",
    meshes=MESHES,
    values=[np.array([0, 1, 1, 0]), np.zeros(0, dtype=int), np.array([1, 1, 1, 0])],
    note="Expert",
    legend=[("expert 5", "#4477aa"), ("expert 2", "#ee6677")],
)


@pytest.fixture
def page(tmp_path: Path) -> Path:
    write_player(tmp_path / "page.html", [MOTION, EXPERTS], labels=LABELS, title="one <two>")
    return tmp_path / "page.html"


def part(page: str, name: str) -> str:
    match = re.search(rf'<script id="{name}"[^>]*>(.*?)</script>', page, re.DOTALL)
    assert match
    return match[1]


def content(page: Path) -> tuple[dict[str, Any], bytes]:
    text = page.read_text()
    return json.loads(part(text, "head")), zlib.decompress(base64.b64decode(part(text, "body")))


def test_the_page_holds_the_surfaces_once(page: Path) -> None:
    head, body = content(page)
    assert head["labels"] == LABELS
    assert len(head["meshes"]) == 3  # two views of three surfaces
    last = head["meshes"][head["views"][0]["frames"][2]["mesh"]]
    faces = np.frombuffer(body, "<i4", 3 * last["faces"], last["start"]).cumsum().reshape(-1, 3)
    places = np.frombuffer(body, "<i2", 3 * last["vertices"], last["start"] + 12 * last["faces"]).reshape(-1, 3)
    assert np.array_equal(faces, tetrahedron(8.0).faces)
    assert np.allclose(places * head["step"], tetrahedron(8.0).vertices - 30.0, atol=2 * head["step"])
    assert all(entry["start"] % 4 == 0 for entry in (*head["meshes"], *head["views"][1]["frames"]))


def test_colours_are_a_scale_or_places_in_a_legend(page: Path) -> None:
    head, body = content(page)
    motion, experts = head["views"]

    def values(view: dict[str, Any]) -> list[int]:
        return np.frombuffer(body, "u1", 4, view["frames"][2]["start"]).tolist()

    assert motion["largest"] == pytest.approx(4.0)  # the infinite distance does not set the scale
    assert values(motion) == [255, 255, 128, 255]
    assert motion["legend"] == []
    assert values(experts) == [1, 1, 1, 0]
    assert [entry["text"] for entry in experts["legend"]] == ["expert 5", "expert 2"]


def test_few_outliers_leave_the_scale_alone(tmp_path: Path) -> None:
    mesh = tetrahedron(1.0)
    far = Mesh(np.tile(mesh.vertices, (500, 1)), mesh.faces, np.tile(mesh.normals, (500, 1)))
    values = np.where(np.arange(2000) < 5, 100.0, 1.0)
    write_player(tmp_path / "page.html", [View(name="", meshes=[far], values=[values], note="")], labels=[""], title="")
    assert content(tmp_path / "page.html")[0]["views"][0]["largest"] == pytest.approx(1.0)


def test_the_page_needs_nothing_from_elsewhere(page: Path) -> None:
    text = page.read_text()
    assert "{{" not in text
    assert "one &lt;two&gt;" in text
    assert not re.search(r"https?://|src=|import |fetch\(", text)
    assert [path.name for path in page.parent.iterdir()] == ["page.html"]


@pytest.mark.parametrize(("views", "labels"), [([], []), ([], ["t"]), ([MOTION], []), ([MOTION], ["a", "b"])])
def test_views_and_labels_are_of_the_same_frames(tmp_path: Path, views: list[View], labels: list[str]) -> None:
    with pytest.raises(ValueError, match="at least one view and one frame"):
        write_player(tmp_path / "page.html", views, labels=labels, title="none")
    assert not list(tmp_path.iterdir())
