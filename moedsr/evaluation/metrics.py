"""How close a predicted surface is to the true one.

Meshes are in normalised units; figures in Å follow from the protein's scale. Distances are those of points to the other
surface's triangles, so that a surface is at no distance from itself.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from moedsr.errors import InputError
from moedsr.geometry.mesh import Mesh
from moedsr.geometry.surface_distance import TriangleTree

CUBE_DIAGONAL_SQUARED = 12.0
"""Of [-1, 1]³; the distance that every point of a missing prediction is charged."""


@dataclass(frozen=True, kw_only=True)
class SurfaceScores:
    """One predicted surface against the true one."""

    chamfer: float  # normalised², mean squared distances both ways, summed
    chamfer_dsr: float  # the same in the units of DSR's code, whose box holds all frames
    chamfer_l1: float  # normalised, half the sum of the mean distances: as the paper prints it
    chamfer_angstrom: float  # Å²
    chamfer_l1_angstrom: float  # Å
    normal_consistency: float  # mean |n·m|, truth to prediction; chance is 0.5
    normal_consistency_signed: float  # mean n·m; chance is 0
    failed: bool  # the prediction had no surface: distances are the cube's diagonal, consistencies 0

    def as_dict(self) -> Mapping[str, float]:
        """Plain numbers; `failed` as 0 or 1, so that a mean of it is a rate."""
        return {name: float(value) for name, value in asdict(self).items()}


class MeasuredSurface:
    """A mesh to be compared with others, and points of it that stand for all of its area.

    Args:
        mesh: normalised units; may be empty.
        samples: most points taken, evenly from the mesh's vertices.
    """

    def __init__(self, mesh: Mesh, samples: int) -> None:
        self.mesh = mesh
        self._every = -(-len(mesh.vertices) // samples) or 1

    @property
    def nbytes(self) -> int:
        """Of mesh and tree, about."""
        return 48 * len(self.mesh.vertices) + 170 * len(self.mesh.faces)

    @property
    def points(self) -> NDArray[np.float64]:
        """(S, 3)."""
        return self.mesh.vertices[:: self._every]

    @property
    def normals(self) -> NDArray[np.float64]:
        """(S, 3) unit, outward."""
        return self.mesh.normals[:: self._every]

    @cached_property
    def shares(self) -> NDArray[np.float64]:
        """(S,) of the area; they sum to one."""
        areas = self.mesh.vertex_areas[:: self._every]
        return areas / areas.sum()

    @cached_property
    def tree(self) -> TriangleTree:
        return TriangleTree(self.mesh)


def compare_surfaces(
    truth: MeasuredSurface, prediction: MeasuredSurface, *, scale: float, dsr_unit: float | None = None
) -> SurfaceScores:
    """Scores of a surface against the true one.

    Args:
        truth: not empty.
        prediction: an empty one counts as a failure.
        scale: Å per normalised unit.
        dsr_unit: Å per unit of DSR's code; default: `scale`.

    Raises:
        InputError: a truth without a surface.
    """
    if truth.mesh.is_empty:
        raise InputError("the true surface has 0 points, but must have at least 1 to be compared with")
    if prediction.mesh.is_empty:
        far = CUBE_DIAGONAL_SQUARED
        return _scores((far, far), (far**0.5, far**0.5), (0.0, 0.0), scale, dsr_unit or scale, failed=True)
    there, back = prediction.tree.closest(truth.points), truth.tree.closest(prediction.points)
    corners = prediction.mesh.normals[prediction.mesh.faces[there.faces]]
    normals = np.einsum("pc,pcx->px", there.weights, corners)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    cosines = np.einsum("px,px->p", truth.normals, normals)
    return _scores(
        (float(truth.shares @ there.distances**2), float(prediction.shares @ back.distances**2)),
        (float(truth.shares @ there.distances), float(prediction.shares @ back.distances)),
        (float(truth.shares @ np.abs(cosines)), float(truth.shares @ cosines)),
        scale,
        dsr_unit or scale,
        failed=False,
    )


def _scores(
    squares: tuple[float, float],
    lengths: tuple[float, float],
    cosines: tuple[float, float],
    scale: float,
    dsr_unit: float,
    *,
    failed: bool,
) -> SurfaceScores:
    chamfer, chamfer_l1 = sum(squares), 0.5 * sum(lengths)
    return SurfaceScores(
        chamfer=chamfer,
        chamfer_dsr=chamfer * (scale / dsr_unit) ** 2,
        chamfer_l1=chamfer_l1,
        chamfer_angstrom=chamfer * scale**2,
        chamfer_l1_angstrom=chamfer_l1 * scale,
        normal_consistency=cosines[0],
        normal_consistency_signed=cosines[1],
        failed=failed,
    )
