"""The controls of the page that plays surfaces, used in a real browser."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import trimesh
from browser import CHROMIUM, DRIVER, MISSING, Browser, browser

from moedsr.geometry.mesh import Mesh, vertex_normals
from moedsr.pictures.surface_player import View, write_player

pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=MISSING)

FRAMES = 7
RED, BLUE = "#ee0000", "#0000ee"
RIGHT, LEFT, HOME, END = "\ue014", "\ue012", "\ue011", "\ue010"


def egg(length: float) -> Mesh:
    sphere = trimesh.creation.icosphere(3, radius=10.0)
    vertices = np.asarray(sphere.vertices) * (length, 1.0, 1.0)
    faces = np.asarray(sphere.faces, dtype=np.int64)
    return Mesh(vertices + 30.0, faces, vertex_normals(vertices, faces))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eggs that grow; by motion, and red to one side and blue to the other."""
    meshes = [*(egg(1 + 0.1 * frame) for frame in range(FRAMES - 1)), Mesh.empty()]
    far = [np.full(len(mesh.vertices), float(frame)) for frame, mesh in enumerate(meshes)]
    side = [(mesh.vertices[:, 0] > 30).astype(int) for mesh in meshes]
    views = [
        View(name="by motion", meshes=meshes, values=far, note="Å from P0"),
        View(name="by expert", meshes=meshes, values=side, note="Expert", legend=[("left", RED), ("right", BLUE)]),
    ]
    path = tmp_path_factory.mktemp("player") / "page.html"
    write_player(path, views, labels=[f"t = {frame}" for frame in range(FRAMES)], title="eggs")
    return path


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


@pytest.fixture
def shown(window: Browser, page: Path) -> Browser:
    """The page, freshly opened, its first frame drawn."""
    window.open(page.as_uri())
    window.until("return document.body.dataset.frame === '0'")
    return window


def surface(window: Browser) -> np.ndarray:
    """The canvas after what was asked for has been drawn."""
    window.run("return new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
    return window.picture("canvas")[:-30]  # below, the controls are explained


def covered(picture: np.ndarray) -> int:
    """Pixels that are not the white ground."""
    return int((picture.min(-1) < 200).sum())


def frame(window: Browser) -> int:
    surface(window)
    return int(window.run("return document.body.dataset.frame"))


def test_frames_play_pause_and_begin_again(shown: Browser) -> None:
    assert covered(surface(shown)) > 10_000
    shown.click("#play")
    shown.until("return document.body.dataset.frame >= 2")
    assert shown.run("return document.getElementById('play').textContent") == "Pause"
    shown.until("return document.body.dataset.frame >= 5")
    shown.until("return document.body.dataset.frame <= 1")  # after the last comes the first
    shown.click("#play")
    stopped = frame(shown)
    shown.run("return new Promise(later => setTimeout(later, 900))")
    assert frame(shown) == stopped
    assert shown.run("return document.getElementById('slider').value") == str(stopped)


def test_slider_and_keys_choose_the_frame(shown: Browser) -> None:
    first = surface(shown)
    shown.run("const s = document.getElementById('slider'); s.value = 4; s.dispatchEvent(new Event('input'))")
    assert frame(shown) == 4
    assert shown.run("return document.getElementById('label').textContent") == "t = 4"
    grown = surface(shown)
    assert (first != grown).any()
    for key, wanted in ((RIGHT, 5), (LEFT, 4), (LEFT, 3), (END, 6), (RIGHT, 6), (HOME, 0), (LEFT, 0)):
        shown.press(key)
        assert frame(shown) == wanted
    shown.press(END)
    assert covered(surface(shown)) == 0
    assert shown.run("return document.getElementById('label').textContent") == "t = 6 (empty)"
    shown.press(HOME)
    shown.press(" ")
    shown.until("return document.body.dataset.frame >= 1")
    shown.press(" ")
    assert shown.run("return document.getElementById('play').textContent") == "Play"


def test_the_slider_itself_is_dragged(shown: Browser) -> None:
    shown.drag("#slider", (60, 0))
    dragged = frame(shown)
    assert dragged > FRAMES // 2
    shown.press(" ")  # the slider has the focus and does nothing with a space
    shown.until(f"return document.body.dataset.frame != {dragged}")


def test_dragging_turns_the_wheel_zooms_and_a_double_click_undoes_it(shown: Browser) -> None:
    shown.press("2")
    before = surface(shown)
    shown.drag("canvas", (120, 40))
    turned = surface(shown)
    assert np.abs(turned - before).max(-1).astype(bool).sum() > 5_000
    shown.wheel("canvas", -400)
    near = surface(shown)
    assert covered(near) > 1.5 * covered(turned)
    shown.wheel("canvas", 800)
    assert covered(surface(shown)) < covered(turned)
    shown.run("document.getElementById('view').dispatchEvent(new MouseEvent('dblclick'))")
    assert (surface(shown) == before).all()
    shown.drag("canvas", (100, 0), button=2)
    moved = surface(shown)
    columns = [np.nonzero((picture.min(-1) < 200).any(0))[0].mean() for picture in (before, moved)]
    assert columns[1] - columns[0] == pytest.approx(100, abs=3)


def test_the_menu_chooses_what_colours_mean(shown: Browser) -> None:
    legend = "return document.getElementById('legend').innerText"
    assert "≥ 5.0 Å from P0" in shown.run(legend)
    shown.press(END)
    shown.press(LEFT)
    motion = surface(shown)
    assert ((motion[..., 0] > 1.8 * motion[..., 2]) & (motion[..., 0] > 60)).sum() > 10_000
    shown.press("2")
    assert shown.run("return document.getElementById('views').value") == "1"
    assert {"left", "right"} <= set(shown.run(legend).split())
    halves = surface(shown)
    red = (halves[..., 0] > 70) & (halves[..., 2] < 20)
    blue = (halves[..., 2] > 70) & (halves[..., 0] < 20)
    assert min(red.sum(), blue.sum()) > 5_000
    # the reader looks so that +x lies to the right
    assert np.nonzero(blue.any(0))[0].mean() > np.nonzero(red.any(0))[0].mean()
    assert shown.run("return document.body.dataset.frame") == str(FRAMES - 2)


def test_nothing_failed(shown: Browser) -> None:
    assert shown.run("return document.getElementById('failure').hidden")
    assert shown.complaints() == []
