"""Meshes as files: PLY, OBJ and GLB, each written to a temporary name and renamed."""

import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from moedsr.files import written_whole
from moedsr.geometry.mesh import Mesh

_FLOAT, _UINT = 5126, 5125  # glTF's names of number types
_VERTICES, _INDICES = 34962, 34963  # and of what a buffer is for


def write_obj(mesh: Mesh, path: Path) -> None:
    """Wavefront OBJ with normals."""
    lines = [f"v {x:.4f} {y:.4f} {z:.4f}" for x, y, z in mesh.vertices]
    lines += [f"vn {x:.4f} {y:.4f} {z:.4f}" for x, y, z in mesh.normals]
    lines += [f"f {a}//{a} {b}//{b} {c}//{c}" for a, b, c in mesh.faces + 1]
    _write(path, ("\n".join(lines) + "\n").encode("ascii"))


def write_glb(mesh: Mesh, path: Path) -> None:
    """Binary glTF 2.0; a mesh without triangles becomes a scene without meshes, as the format demands."""
    head = {"asset": {"version": "2.0", "generator": "moedsr"}, "scene": 0, "scenes": [{"nodes": []}]}
    if mesh.is_empty:
        _write(path, _glb(head, b""))
        return
    positions = mesh.vertices.astype("<f4")
    parts = [positions, mesh.normals.astype("<f4"), mesh.faces.astype("<u4").reshape(-1)]
    starts = np.cumsum([0, *(part.nbytes for part in parts)]).tolist()
    head |= {
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0, "NORMAL": 1}, "indices": 2}]}],
        "buffers": [{"byteLength": starts[-1]}],
        "bufferViews": [
            {"buffer": 0, "byteOffset": start, "byteLength": part.nbytes, "target": target}
            for part, start, target in zip(parts, starts[:-1], (_VERTICES, _VERTICES, _INDICES), strict=True)
        ],
        "accessors": [
            {
                "bufferView": 0,
                "componentType": _FLOAT,
                "count": len(positions),
                "type": "VEC3",
                "min": positions.min(axis=0).tolist(),
                "max": positions.max(axis=0).tolist(),
            },
            {"bufferView": 1, "componentType": _FLOAT, "count": len(positions), "type": "VEC3"},
            {"bufferView": 2, "componentType": _UINT, "count": 3 * len(mesh.faces), "type": "SCALAR"},
        ],
    }
    _write(path, _glb(head, b"".join(part.tobytes() for part in parts)))


MESH_FORMATS: Mapping[str, Callable[[Mesh, Path], None]] = {"ply": Mesh.write_ply, "obj": write_obj, "glb": write_glb}
"""Writer by suffix."""


def _glb(head: dict[str, object], content: bytes) -> bytes:
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<II", len(text), 0x4E4F534A) + text
    if content:
        chunks += struct.pack("<II", len(content), 0x004E4942) + content
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def _write(path: Path, content: bytes) -> None:
    with written_whole(path) as aside:
        aside.write_bytes(content)
