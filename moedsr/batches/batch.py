"""Every tensor that enters the model, with shape and unit.

Shapes: B proteins, F frames of each, S surface points and Q off-surface points of each frame, C cloud points and
R residues over all proteins of the batch. Clouds are concatenated (proteins differ in size, and a batch mate must
not change a result); query points are dense.
"""

from dataclasses import dataclass, fields
from typing import Self

import torch
from torch import Tensor

RESIDUE_TYPE_COUNT = 21
"""Twenty amino acids and X; the names are moedsr.structures.residues.RESIDUE_TYPES."""


class _Tensors:
    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Self:
        """The same on another device; floating-point tensors also in another precision."""
        values = {}
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if isinstance(value, Tensor):
                value = value.to(device=device, dtype=dtype if value.is_floating_point() else None)
            elif isinstance(value, _Tensors):
                value = value.to(device, dtype)
            values[field.name] = value
        return type(self)(**values)


@dataclass(frozen=True, kw_only=True)
class SplineGrids(_Tensors):
    """One function for each protein as a cubic spline, each on a grid of its own that turns with the protein."""

    coefficients: Tensor  # (G,) Å or (G, C) for C functions, the grids one after another, each in C order
    start: Tensor  # (B,) int64, first coefficient of each protein
    shape: Tensor  # (B, 3) int64, nodes per axis
    frame: Tensor  # (B, 3, 3) axes of the grid, as rows
    origin: Tensor  # (B, 3) Å along those axes, first node
    spacing: Tensor  # (B,) Å

    def rows(self, wanted: list[int]) -> "SplineGrids":
        """Those of some proteins; the coefficients stay together, as ``start`` says where each begins."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return SplineGrids(**{name: v if name == "coefficients" else v[wanted] for name, v in values.items()})


SURROUNDING_BLURS = (1.0, 1.5, 2.0, 3.0)
"""Å, widths of the Gaussians that blur P0's signed distance in the surroundings."""

SURROUNDING_CHANNELS = len(SURROUNDING_BLURS) + 4
"""Functions of the surroundings; moedsr.batches.surroundings says which."""


@dataclass(frozen=True, kw_only=True)
class InitialDistances(_Tensors):
    """What P0 says at any point: the signed distance to its surface, and what lies around."""

    near: SplineGrids  # fine, right beside the surface
    far: SplineGrids  # coarse, right everywhere else
    around: SplineGrids  # SURROUNDING_CHANNELS functions, right within 6 Å of the atoms

    def rows(self, wanted: list[int]) -> "InitialDistances":
        """Those of some proteins."""
        return InitialDistances(near=self.near.rows(wanted), far=self.far.rows(wanted), around=self.around.rows(wanted))


@dataclass(frozen=True, kw_only=True)
class CloudPairs(_Tensors):
    """Neighbouring points of the clouds by quasi-geodesic distance, ordered pairs of one protein each."""

    target: Tensor  # (E,) int64, ascending
    source: Tensor  # (E,) int64
    distance: Tensor  # (E,) Å


@dataclass(frozen=True, kw_only=True)
class ProteinBatch(_Tensors):
    """All that is known of each protein: its initial conformation P0, coordinates about its centre."""

    points: Tensor  # (C, 3) Å, surface cloud
    normals: Tensor  # (C, 3) unit, outward
    point_protein: Tensor  # (C,) int64, protein of each point, ascending
    residue_positions: Tensor  # (R, 3) Å, Cα
    residue_types: Tensor  # (R,) int64, index into moedsr.structures.residues.RESIDUE_TYPES
    residue_protein: Tensor  # (R,) int64, ascending
    scale: Tensor  # (B,) Å per normalised unit
    code_index: Tensor  # (B,) int64, row of the latent code table; -1 for a protein without one
    cloud_pairs: CloudPairs | None = None  # where known from before; q_mpnn looks for them otherwise
    initial_distances: InitialDistances | None = None  # for anchored experts alone

    @property
    def size(self) -> int:
        return self.scale.shape[0]

    @property
    def centre(self) -> Tensor:
        """(B, 3) Å, mean of the Cα; the origin, unless the whole batch was moved."""
        total = self.residue_positions.new_zeros(self.size, 3)
        total = total.index_add(0, self.residue_protein, self.residue_positions)
        return total / torch.bincount(self.residue_protein, minlength=self.size)[:, None]


@dataclass(frozen=True, kw_only=True)
class TrainingBatch(_Tensors):
    """One optimiser step, randomness included, so that a step is a pure function of its batch."""

    proteins: ProteinBatch
    time: Tensor  # (B, F) in [-1, 1]
    surface_points: Tensor  # (B, F, S, 3) normalised
    surface_normals: Tensor  # (B, F, S, 3) unit, outward
    off_surface_points: Tensor  # (B, F, Q, 3) normalised
    occupancy_points: Tensor  # (B, F, V, 3) normalised, near P0's surface
    occupied: Tensor  # (B, F, V) 1 where the frame is inside, else 0
    inside_cost: Tensor  # (B,) of such a point wrongly inside; wrongly outside costs 1
    occupancy_unit: Tensor  # (B,) cost of the points that P0 gets wrong, less that of the best static surface
    gate_noise: Tensor  # (B, N_E) standard normal
    keep_code: Tensor  # (B,) 1 keeps the latent code, 0 drops it
