"""One HTML page that plays surfaces over time: self-contained, from a file, without a network."""

import base64
import html
import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moedsr.files import written_whole
from moedsr.geometry.mesh import Mesh
from moedsr.pictures import VIEW

_TEMPLATE = Path(__file__).with_name("player.html")
_LARGEST_STEP = 32_000  # positions are 16-bit integers
_FRAMES_PER_SECOND = 8


@dataclass(frozen=True)
class PlayedFrame:
    """One surface and what stands beside it."""

    mesh: Mesh  # Å
    label: str
    values: NDArray[np.floating] | None = None  # (V,) Å, colour of each vertex


def write_player(path: Path, frames: Iterable[PlayedFrame], *, title: str, values: str = "") -> None:
    """Writes the page: drag rotates, the wheel zooms, a button plays, a slider chooses the frame.

    Args:
        path: the page; written to a temporary name and renamed.
        frames: in the order of play; all with values or none.
        title: stands above the surface.
        values: what the colours mean.

    Raises:
        ValueError: no frame.
    """
    shown = list(frames)
    if not shown:
        raise ValueError("a page needs at least one frame")
    head, body = _packed(shown)
    head |= {"values": values, "rate": _FRAMES_PER_SECOND}
    page = _TEMPLATE.read_text(encoding="utf-8")
    for key, text in (
        ("title", html.escape(title)),
        ("head", json.dumps(head).replace("<", "\\u003c")),  # else a label could end the script
        ("body", base64.b64encode(zlib.compress(body, 9)).decode()),
    ):
        page = page.replace("{{" + key + "}}", text)
    with written_whole(path) as aside:
        aside.write_text(page, encoding="utf-8")


def _packed(frames: Sequence[PlayedFrame]) -> tuple[dict[str, Any], bytes]:
    """What the page must know, and the arrays of all frames one after another, each frame from a whole word on."""
    vertices = np.concatenate([frame.mesh.vertices for frame in frames])
    low, high = (vertices.min(axis=0), vertices.max(axis=0)) if len(vertices) else (np.zeros(3), np.ones(3))
    centre = (low + high) / 2
    radius = float(np.linalg.norm(vertices - centre, axis=1).max(initial=1e-6))
    largest = max((float(frame.values.max(initial=0.0)) for frame in frames if frame.values is not None), default=0.0)
    step, largest = radius / _LARGEST_STEP, max(largest, 1e-6)
    entries, body = [], b""
    for frame in frames:
        mesh = frame.mesh
        entries.append(
            {"label": frame.label, "start": len(body), "vertices": len(mesh.vertices), "faces": len(mesh.faces)}
        )
        parts = [mesh.faces.astype("<u4").tobytes()]
        parts.append(np.rint((mesh.vertices - centre) / step).astype("<i2").tobytes())
        if frame.values is not None:
            parts.append(np.rint(np.clip(frame.values / largest, 0, 1) * 255).astype("u1").tobytes())
        content = b"".join(parts)
        body += content + b"\0" * (-len(content) % 4)
    head = {
        "frames": entries,
        "step": step,
        "centre": [0.0, 0.0, 0.0],
        "radius": radius,
        "largest": largest,
        "view": [float(x) for x in VIEW.T.reshape(-1)],  # column by column
    }
    return head, body
