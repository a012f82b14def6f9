"""One HTML page that plays surfaces over time: self-contained, from a file, without a network."""

import base64
import html
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moedsr.files import written_whole
from moedsr.geometry.mesh import Mesh
from moedsr.pictures.surfaces import VIEW

_TEMPLATE = Path(__file__).with_name("player.html")
_LARGEST_STEP = 32_000  # positions are 16-bit integers
_LOOP = 3.0  # seconds that the frames last at least
_RATES = (1.5, 8.0)  # frames a second
_COMMON = 99.0  # per cent of the vertices that the colour scale spans; a few outliers would make all else grey


@dataclass(frozen=True, kw_only=True)
class View:
    """One way of looking: a surface a frame, and what its colours mean.

    Attributes:
        name: in the page's menu.
        meshes: one a frame, Å; views may share them.
        values: (V,) of each mesh: Å from 0 up, infinite ones red; or, with a legend, the place of each vertex's entry.
        note: what the values are, such as "Å from P0"; stands beside the colours.
        legend: entries as (text, colour as #rrggbb); empty for a continuous scale.
    """

    name: str
    meshes: Sequence[Mesh]
    values: Sequence[NDArray[Any]]
    note: str
    legend: Sequence[tuple[str, str]] = ()


def write_player(path: Path, views: Sequence[View], *, labels: Sequence[str], title: str) -> None:
    """Writes the page: drag turns, the wheel zooms, a button plays, a slider chooses the frame, a menu the view.

    Args:
        path: the page; written to a temporary name and renamed.
        views: each with as many frames as there are labels.
        labels: one a frame, in the order of play.
        title: stands above the surface.

    Raises:
        ValueError: no view, no frame, or a view of another number of frames.
    """
    counts = {len(view.meshes) for view in views} | {len(view.values) for view in views}
    if not labels or counts != {len(labels)}:
        raise ValueError(f"a page needs at least one view and one frame, and as many labels; {counts}, {len(labels)}")
    head, body = _packed(views)
    head |= {"labels": list(labels), "rate": float(np.clip(len(labels) / _LOOP, *_RATES))}
    page = _TEMPLATE.read_text(encoding="utf-8")
    for key, text in (
        ("title", html.escape(title)),
        ("head", json.dumps(head).replace("<", "\\u003c")),  # else a label could end the script
        ("body", base64.b64encode(zlib.compress(body)).decode()),
    ):
        page = page.replace("{{" + key + "}}", text)
    with written_whole(path) as aside:
        aside.write_text(page, encoding="utf-8")


def _packed(views: Sequence[View]) -> tuple[dict[str, Any], bytes]:
    """What the page must know, and all arrays one after another, each part from a whole word on."""
    meshes = list({id(mesh): mesh for view in views for mesh in view.meshes}.values())
    place = {id(mesh): number for number, mesh in enumerate(meshes)}
    vertices = np.concatenate([mesh.vertices for mesh in meshes])
    low, high = (vertices.min(axis=0), vertices.max(axis=0)) if len(vertices) else (np.zeros(3), np.ones(3))
    centre = (low + high) / 2
    radius = float(np.linalg.norm(vertices - centre, axis=1).max(initial=1e-6))
    step = radius / _LARGEST_STEP
    body = bytearray()

    def add(*parts: NDArray[Any]) -> int:
        start = len(body)
        for part in parts:
            body.extend(part.tobytes())
        body.extend(b"\0" * (-len(body) % 4))
        return start

    stored = []
    for mesh in meshes:
        # corners of neighbouring triangles have near numbers: their differences take a third of the room
        corners = np.diff(mesh.faces.reshape(-1), prepend=0).astype("<i4")
        places = np.rint((mesh.vertices - centre) / step).astype("<i2")
        stored.append({"start": add(corners, places), "vertices": len(mesh.vertices), "faces": len(mesh.faces)})
    shown = []
    for view in views:
        largest = 1.0 if view.legend else _largest(view.values)
        top = 1 if view.legend else 255
        starts = [add(np.rint(np.clip(own / largest, 0, 255 / top) * top).astype("u1")) for own in view.values]
        frames = [{"mesh": place[id(mesh)], "start": start} for mesh, start in zip(view.meshes, starts, strict=True)]
        legend = [{"text": text, "colour": colour} for text, colour in view.legend]
        shown.append({"name": view.name, "note": view.note, "largest": largest, "legend": legend, "frames": frames})
    turn = [float(x) for x in VIEW.T.reshape(-1)]  # column by column
    return {"meshes": stored, "views": shown, "step": step, "radius": radius, "view": turn}, bytes(body)


def _largest(values: Sequence[NDArray[np.floating]]) -> float:
    """The end of the colour scale, the same for all frames."""
    every = np.concatenate(values)
    every = every[np.isfinite(every)]
    return max(float(np.percentile(every, _COMMON)) if len(every) else 1.0, 1e-6)
