"""How close a predicted surface is to the true one.

Points and normals are in normalised units; figures in Å follow from the protein's scale.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from moedsr.errors import InputError
from moedsr.geometry.mesh import Mesh

Points = NDArray[np.floating]

CUBE_DIAGONAL_SQUARED = 12.0
"""Of [-1, 1]³; the distance that every point of a missing prediction is charged."""


@dataclass(frozen=True, kw_only=True)
class SurfaceScores:
    """One predicted surface against the true one."""

    chamfer: float  # normalised², mean squared distances both ways, summed: as DSR's code
    chamfer_l1: float  # normalised, half the sum of the mean distances: as the paper prints it
    chamfer_angstrom: float  # Å²
    chamfer_l1_angstrom: float  # Å
    normal_consistency: float  # mean |n·m|, truth to prediction; chance is 0.5
    normal_consistency_signed: float  # mean n·m; chance is 0
    failed: bool  # the prediction had no surface: distances are the cube's diagonal, consistencies 0

    def as_dict(self) -> Mapping[str, float]:
        """Plain numbers; `failed` as 0 or 1, so that a mean of it is a rate."""
        return {name: float(value) for name, value in asdict(self).items()}


def surface_scores(
    *,
    truth_points: Points,
    truth_normals: Points,
    predicted_points: Points,
    predicted_normals: Points,
    scale: float,
) -> SurfaceScores:
    """Scores of area-uniform samples (S, 3) of the prediction against those of the truth.

    Args:
        truth_points: normalised.
        truth_normals: unit, outward.
        predicted_points: normalised; none for a prediction without a surface.
        predicted_normals: unit, outward.
        scale: Å per normalised unit.

    Raises:
        InputError: a truth without points.
    """
    if not len(truth_points):
        raise InputError("the true surface has 0 points, but must have at least 1 to be compared with")
    if not len(predicted_points):
        missing = np.full(1, np.sqrt(CUBE_DIAGONAL_SQUARED))
        return _scores(missing, missing, np.zeros(1), scale=scale, failed=True)
    to_prediction, nearest = KDTree(predicted_points, balanced_tree=False).query(truth_points)
    to_truth, _ = KDTree(truth_points, balanced_tree=False).query(predicted_points)
    cosines = np.einsum("ij,ij->i", truth_normals, np.asarray(predicted_normals)[nearest])
    return _scores(np.asarray(to_prediction), np.asarray(to_truth), cosines, scale=scale, failed=False)


def compare_meshes(
    truth: Mesh, prediction: Mesh, *, scale: float, samples: int, rng: np.random.Generator
) -> SurfaceScores:
    """Scores of a mesh against the true one, both in normalised units, by `samples` points on each."""
    truth_points, truth_normals = truth.sample(samples, rng)
    predicted_points, predicted_normals = prediction.sample(samples, rng)
    return surface_scores(
        truth_points=truth_points,
        truth_normals=truth_normals,
        predicted_points=predicted_points,
        predicted_normals=predicted_normals,
        scale=scale,
    )


def _scores(
    to_prediction: NDArray[np.float64],
    to_truth: NDArray[np.float64],
    cosines: NDArray[np.float64],
    *,
    scale: float,
    failed: bool,
) -> SurfaceScores:
    chamfer = float(np.mean(np.square(to_prediction)) + np.mean(np.square(to_truth)))
    chamfer_l1 = 0.5 * float(np.mean(to_prediction) + np.mean(to_truth))
    return SurfaceScores(
        chamfer=chamfer,
        chamfer_l1=chamfer_l1,
        chamfer_angstrom=chamfer * scale**2,
        chamfer_l1_angstrom=chamfer_l1 * scale,
        normal_consistency=float(np.abs(cosines).mean()),
        normal_consistency_signed=float(cosines.mean()),
        failed=failed,
    )
