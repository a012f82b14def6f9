"""A protein as the model sees it, and batches of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from moedsr.batches.batch import CloudPairs, InitialDistances, ProteinBatch, SplineGrids
from moedsr.batches.initial_distance import InitialDistance, SplineGrid
from moedsr.config import Config, RouterConfig
from moedsr.geometry.neighbours import farthest_points
from moedsr.geometry.quasi_geodesic import quasi_geodesic_pairs
from moedsr.store.conformation import InitialConformation
from moedsr.store.protein_file import StoredProtein


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """The neighbours of each cloud point by quasi-geodesic distance; found once, since P0 never changes."""

    count: NDArray[np.int32]  # (M,)
    index: NDArray[np.int32]  # (E,) those of the first point, then those of the second, …
    distance: NDArray[np.float32]  # (E,) Å

    @classmethod
    def of(cls, points: NDArray[np.float32], normals: NDArray[np.float32], config: RouterConfig) -> Self:
        """Of one cloud (M, 3) with normals."""
        target, source, distance = quasi_geodesic_pairs(
            points=torch.from_numpy(points),
            normals=torch.from_numpy(normals),
            protein=torch.zeros(len(points), dtype=torch.long),
            smoothing=config.normal_smoothing,
            radius=config.neighborhood_radius,
        )
        count = torch.bincount(target, minlength=len(points))
        return cls(count=count.int().numpy(), index=source.int().numpy(), distance=distance.numpy())


@dataclass(frozen=True, kw_only=True)
class ProteinInput:
    """What the model is given of a protein: P0's surface cloud and residues about its centre."""

    name: str
    points: NDArray[np.float32]  # (M, 3) Å
    normals: NDArray[np.float32]  # (M, 3) unit, outward
    residue_positions: NDArray[np.float32]  # (R, 3) Å, Cα
    residue_types: NDArray[np.int64]  # (R,)
    scale: float  # Å per normalised unit
    initial_distance: InitialDistance | None = None  # for anchored experts alone
    neighbours: Neighbours | None = None  # for q_mpnn alone

    @classmethod
    def of(cls, protein: StoredProtein | InitialConformation, config: Config, *, route_only: bool = False) -> Self:
        """From the store or from a PDB file; the cloud is an even subset (farthest-point sampling) of P0's samples.

        Args:
            protein: where to take P0 from.
            config: what the model needs.
            route_only: leave out what the router does not read.
        """
        if isinstance(protein, StoredProtein):
            frame, types = protein.frame(0), protein.residue_types
        else:
            frame, types = protein.frame, protein.structure.residue_types
        keep = farthest_points(torch.from_numpy(frame.points), config.router.cloud_points).numpy()
        points, normals = frame.points[keep], frame.normals[keep]
        anchored = config.expert.kind == "anchored" and not route_only
        return cls(
            name=protein.name,
            points=points,
            normals=normals,
            residue_positions=protein.residue_positions,
            residue_types=types,
            scale=protein.scale,
            initial_distance=InitialDistance.of(protein, config.data.prepare) if anchored else None,
            neighbours=Neighbours.of(points, normals, config.router) if config.router.backbone == "q_mpnn" else None,
        )


def collate(proteins: Sequence[ProteinInput], code_index: Sequence[int]) -> ProteinBatch:
    """One batch of proteins, float32 on the CPU; ``code_index`` is -1 for a protein without a latent code."""

    def joined(arrays: list[NDArray]) -> torch.Tensor:
        return torch.from_numpy(np.concatenate(arrays))

    def owner(lengths: list[int]) -> torch.Tensor:
        return torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))

    return ProteinBatch(
        points=joined([p.points for p in proteins]),
        normals=joined([p.normals for p in proteins]),
        point_protein=owner([len(p.points) for p in proteins]),
        residue_positions=joined([p.residue_positions for p in proteins]),
        residue_types=joined([p.residue_types for p in proteins]),
        residue_protein=owner([len(p.residue_types) for p in proteins]),
        scale=torch.tensor([p.scale for p in proteins], dtype=torch.float32),
        code_index=torch.tensor(list(code_index), dtype=torch.long),
        cloud_pairs=_collate_neighbours([p.neighbours for p in proteins]),
        initial_distances=collate_distances([p.initial_distance for p in proteins]),
    )


def _collate_neighbours(neighbours: Sequence[Neighbours | None]) -> CloudPairs | None:
    present = [each for each in neighbours if each is not None]
    if len(present) < len(neighbours):
        return None
    count = torch.from_numpy(np.concatenate([each.count for each in present])).long()
    first = np.cumsum([0, *(len(each.count) for each in present)])
    source = np.concatenate([each.index + start for each, start in zip(present, first, strict=False)])
    return CloudPairs(
        target=torch.repeat_interleave(torch.arange(len(count)), count),
        source=torch.from_numpy(source).long(),
        distance=torch.from_numpy(np.concatenate([each.distance for each in present])),
    )


def collate_distances(distances: Sequence[InitialDistance | None]) -> InitialDistances | None:
    """Those of a batch; None unless every protein has one."""
    present = [distance for distance in distances if distance is not None]
    if len(present) < len(distances):
        return None
    frames = np.stack([distance.frame for distance in present])
    return InitialDistances(
        near=_collate_grids([distance.near for distance in present], frames),
        far=_collate_grids([distance.far for distance in present], frames),
        around=_collate_grids([distance.around for distance in present], frames),
    )


def _collate_grids(grids: Sequence[SplineGrid], frames: NDArray[np.float32]) -> SplineGrids:
    sizes = np.array([np.prod(grid.coefficients.shape[:3]) for grid in grids], dtype=np.int64)
    return SplineGrids(
        coefficients=torch.from_numpy(
            np.concatenate([grid.coefficients.reshape(-1, *grid.coefficients.shape[3:]) for grid in grids])
        ),
        start=torch.from_numpy(np.cumsum(sizes) - sizes),
        shape=torch.tensor([grid.coefficients.shape[:3] for grid in grids]),
        frame=torch.from_numpy(frames),
        origin=torch.from_numpy(np.stack([grid.origin for grid in grids])),
        spacing=torch.tensor([grid.spacing for grid in grids], dtype=torch.float32),
    )
