"""Triangle meshes with vertex normals."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from moedsr.files import written_whole
from moedsr.geometry.compiled import compiled

Points = NDArray[np.float64]
Normals = NDArray[np.float64]

_PLY_VERTEX = np.dtype([(name, "<f4") for name in ("x", "y", "z", "nx", "ny", "nz")])
_PLY_COLOURS = [(name, "|u1") for name in ("red", "green", "blue")]
_PLY_FACE = np.dtype([("count", "u1"), ("corners", "<i4", (3,))])


@dataclass(frozen=True)
class Mesh:
    """Closed surface of triangles, counter-clockwise seen from outside. May be empty (V = T = 0)."""

    vertices: Points  # (V, 3)
    faces: NDArray[np.int64]  # (T, 3)
    normals: Normals  # (V, 3) unit, outward

    @classmethod
    def empty(cls) -> Self:
        return cls(np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64), np.zeros((0, 3)))

    @property
    def is_empty(self) -> bool:
        return len(self.faces) == 0

    @property
    def area(self) -> float:
        """In squared units of the vertices."""
        return float(self._face_areas().sum())

    @property
    def volume(self) -> float:
        """In cubed units of the vertices, by the divergence theorem."""
        first, second, third = (self.vertices[self.faces[:, corner]] for corner in range(3))
        return float(np.einsum("ij,ij->", first, np.cross(second, third)) / 6.0)

    @property
    def vertex_areas(self) -> NDArray[np.float64]:
        """(V,) a third of the area of each vertex's faces; they sum to the surface's."""
        shares = np.repeat(self._face_areas() / 3.0, 3)
        return np.bincount(self.faces.ravel(), shares, minlength=len(self.vertices)).astype(np.float64)

    def moved(self, *, scale: float = 1.0, shift: Points | None = None) -> "Mesh":
        """The mesh with vertices ``scale * vertices + shift``."""
        offset = np.zeros(3) if shift is None else np.asarray(shift, dtype=np.float64)
        return Mesh(self.vertices * scale + offset, self.faces, self.normals)

    def sample(self, count: int, rng: np.random.Generator) -> tuple[Points, Normals]:
        """Points (count, 3) uniform by area, with interpolated unit normals; nothing from an empty mesh."""
        if self.is_empty:
            return np.zeros((0, 3)), np.zeros((0, 3))
        cumulative = np.cumsum(self._face_areas())
        chosen = np.searchsorted(cumulative, rng.uniform(0.0, cumulative[-1], count), side="right")
        corners = self.faces[np.minimum(chosen, len(self.faces) - 1)]
        first, second = rng.uniform(size=(2, count, 1))
        # the square root makes the triangle's density uniform
        root = np.sqrt(first)
        weights = np.stack([1.0 - root, root * (1.0 - second), root * second], axis=1)
        points = (weights * self.vertices[corners]).sum(axis=1)
        return points, _unit((weights * self.normals[corners]).sum(axis=1))

    def write_ply(self, path: Path, colours: NDArray[np.uint8] | None = None) -> None:
        """Binary little-endian PLY with normals, float32; written to a temporary name and renamed.

        Args:
            path: the file.
            colours: (V, 3) red, green and blue of each vertex.
        """
        kind = _PLY_VERTEX if colours is None else np.dtype(_PLY_VERTEX.descr + _PLY_COLOURS)
        vertices = np.empty(len(self.vertices), dtype=kind)
        for axis, name in enumerate(("x", "y", "z")):
            vertices[name] = self.vertices[:, axis]
            vertices[f"n{name}"] = self.normals[:, axis]
        for channel, (name, _) in enumerate(_PLY_COLOURS if colours is not None else ()):
            vertices[name] = np.asarray(colours)[:, channel]
        faces = np.empty(len(self.faces), dtype=_PLY_FACE)
        faces["count"] = 3
        faces["corners"] = self.faces
        with written_whole(path) as aside:
            aside.write_bytes(self._ply_header(kind) + vertices.tobytes() + faces.tobytes())

    def _ply_header(self, kind: np.dtype) -> bytes:
        lines = ["ply", "format binary_little_endian 1.0", f"element vertex {len(self.vertices)}"]
        lines += [f"property {'uchar' if kind[name].itemsize == 1 else 'float'} {name}" for name in kind.names or ()]
        lines += [
            f"element face {len(self.faces)}",
            "property list uchar int vertex_indices",
            "end_header",
            "",
        ]
        return "\n".join(lines).encode("ascii")

    def _face_areas(self) -> NDArray[np.float64]:
        return 0.5 * np.linalg.norm(_face_normals(self.vertices, self.faces), axis=1)


def vertex_normals(vertices: Points, faces: NDArray[np.int64]) -> Normals:
    """Unit normals (V, 3): the mean of the adjacent faces' normals, weighted by area."""
    return _unit(_summed_face_normals(np.asarray(vertices, dtype=np.float64), np.asarray(faces)))


@compiled
def _summed_face_normals(vertices: Points, faces: NDArray[np.int64]) -> Normals:
    """Sums (V, 3) of the normals of each vertex's faces, twice the area long."""
    summed = np.zeros_like(vertices)
    for face in range(len(faces)):
        first, second, third = vertices[faces[face, 0]], vertices[faces[face, 1]], vertices[faces[face, 2]]
        a, b, c = second[0] - first[0], second[1] - first[1], second[2] - first[2]
        d, e, f = third[0] - first[0], third[1] - first[1], third[2] - first[2]
        x, y, z = b * f - c * e, c * d - a * f, a * e - b * d
        for corner in range(3):
            vertex = faces[face, corner]
            summed[vertex, 0] += x
            summed[vertex, 1] += y
            summed[vertex, 2] += z
    return summed


def _face_normals(vertices: Points, faces: NDArray[np.int64]) -> Normals:
    """Normals (T, 3), twice the area long."""
    first, second, third = (vertices[faces[:, corner]] for corner in range(3))
    return np.cross(second - first, third - first)


def _unit(vectors: Normals) -> Normals:
    """Rows of unit length; a row of zeros becomes the z axis, so that a normal is always a unit vector."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.where(lengths > 1e-12, vectors / np.maximum(lengths, 1e-12), [0.0, 0.0, 1.0])
