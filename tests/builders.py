"""Small random proteins and batches, in float64, and untrained models; used by fixtures and by spawned processes."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from moedsr.batches.batch import SURROUNDING_CHANNELS, InitialDistances, ProteinBatch, SplineGrids, TrainingBatch
from moedsr.config import Config, DataConfig, ExpertConfig, GateConfig, RouterConfig
from moedsr.models.moedsr import MoEDSR
from moedsr.training.checkpoint import Meta, save_checkpoint


def small_config() -> Config:
    """A configuration whose model computes in milliseconds."""
    return Config(
        data=DataConfig(source="mini-atlas"),
        router=RouterConfig(
            cloud_points=64,
            point_features=8,
            residue_features=8,
            protein_features=8,
            layers=2,
            hidden_channels=8,
        ),
        gate=GateConfig(top_k=2),
        expert=ExpertConfig(kind="plain", count=4, hidden_layers=4, hidden_size=32, harmonic_channels=9, latent_size=8),
    )


def make_proteins(sizes: tuple[int, ...] = (60, 40), seed: int = 0) -> ProteinBatch:
    """Bumpy clouds of so many points each, with residues below them."""
    random = torch.Generator().manual_seed(seed)
    normals = torch.nn.functional.normalize(torch.randn(sum(sizes), 3, generator=random, dtype=torch.float64), dim=-1)
    radius = 10 + 2 * torch.rand(len(normals), 1, generator=random, dtype=torch.float64)
    residues = [max(size // 5, 1) for size in sizes]
    return ProteinBatch(
        points=normals * radius,
        normals=normals,
        point_protein=torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes)),
        residue_positions=5 * torch.randn(sum(residues), 3, generator=random, dtype=torch.float64),
        residue_types=torch.randint(21, (sum(residues),), generator=random),
        residue_protein=torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(residues)),
        scale=torch.full((len(sizes),), 15.0, dtype=torch.float64),
        code_index=torch.arange(len(sizes)),
        initial_distances=InitialDistances(
            near=make_grids(len(sizes), random),
            far=make_grids(len(sizes), random),
            around=make_surroundings(len(sizes), random),
        ),
    )


def make_grids(count: int, random: torch.Generator) -> SplineGrids:
    """Rough distances to spheres of 11 Å, on turned grids of different sizes that end inside the cube of queries."""
    grids, frames, origins = [], [], []
    for protein in range(count):
        axes = [2.0 * torch.arange(nodes, dtype=torch.float64) - nodes for nodes in (12 + protein, 13, 14)]
        radius = torch.linalg.vector_norm(torch.stack(torch.meshgrid(*axes, indexing="ij"), -1), dim=-1)
        grids.append(radius - 11 + 0.3 * torch.randn(radius.shape, generator=random, dtype=torch.float64))
        turned, _ = torch.linalg.qr(torch.randn(3, 3, generator=random, dtype=torch.float64))
        frames.append(turned * torch.linalg.det(turned))
        origins.append(torch.stack([axis[0] for axis in axes]))
    sizes = torch.tensor([grid.numel() for grid in grids])
    return SplineGrids(
        coefficients=torch.cat([grid.flatten() for grid in grids]),
        start=sizes.cumsum(0) - sizes,
        shape=torch.tensor([grid.shape for grid in grids]),
        frame=torch.stack(frames),
        origin=torch.stack(origins),
        spacing=torch.full((count,), 2.0, dtype=torch.float64),
    )


def make_surroundings(count: int, random: torch.Generator) -> SplineGrids:
    """Rough functions on such a grid."""
    grids = make_grids(count, random)
    shape = (len(grids.coefficients), SURROUNDING_CHANNELS)
    return replace(grids, coefficients=torch.randn(shape, generator=random, dtype=torch.float64))


def make_batch(sizes: tuple[int, ...] = (60, 40), *, experts: int = 4, frames: int = 2, seed: int = 0) -> TrainingBatch:
    """A training batch over ``make_proteins`` with random query points."""
    random = torch.Generator().manual_seed(seed)
    count = len(sizes)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    return TrainingBatch(
        proteins=make_proteins(sizes, seed),
        time=torch.rand(count, frames, generator=random, dtype=torch.float64) * 2 - 1,
        surface_points=normal(count, frames, 7, 3) * 0.4,
        surface_normals=torch.nn.functional.normalize(normal(count, frames, 7, 3), dim=-1),
        off_surface_points=normal(count, frames, 5, 3) * 0.5,
        occupancy_points=normal(count, frames, 6, 3) * 0.4,
        occupied=(normal(count, frames, 6) > 0).double(),
        inside_cost=torch.full((count,), 0.5, dtype=torch.float64),
        occupancy_unit=torch.full((count,), 0.1, dtype=torch.float64),
        gate_noise=normal(count, experts),
        keep_code=torch.ones(count, dtype=torch.float64),
    )


def select(proteins: ProteinBatch, wanted: list[int]) -> ProteinBatch:
    """Some of the proteins as a batch of their own."""

    def rows(owner: torch.Tensor) -> torch.Tensor:
        return torch.cat([(owner == protein).nonzero()[:, 0] for protein in wanted])

    points, residues = rows(proteins.point_protein), rows(proteins.residue_protein)
    return ProteinBatch(
        points=proteins.points[points],
        normals=proteins.normals[points],
        point_protein=proteins.point_protein[points] - wanted[0],
        residue_positions=proteins.residue_positions[residues],
        residue_types=proteins.residue_types[residues],
        residue_protein=proteins.residue_protein[residues] - wanted[0],
        scale=proteins.scale[wanted],
        code_index=proteins.code_index[wanted],
        initial_distances=proteins.initial_distances and proteins.initial_distances.rows(wanted),
    )


def each_grid(
    distances: InitialDistances | None, change: Callable[[SplineGrids], SplineGrids]
) -> InitialDistances | None:
    """All grids changed alike."""
    if distances is None:
        return None
    return InitialDistances(near=change(distances.near), far=change(distances.far), around=change(distances.around))


def select_batch(batch: TrainingBatch, wanted: list[int]) -> TrainingBatch:
    """Some proteins of a training batch, adjacent ones."""
    values = {name: getattr(batch, name)[wanted] for name in batch.__dataclass_fields__ if name != "proteins"}
    return TrainingBatch(proteins=select(batch.proteins, wanted), **values)


def rotated(proteins: ProteinBatch, rotation: torch.Tensor, shift: torch.Tensor) -> ProteinBatch:
    """The same proteins turned and moved."""

    def turn(grids: SplineGrids) -> SplineGrids:
        frame = grids.frame @ rotation.T
        return replace(grids, frame=frame, origin=grids.origin + frame @ shift)

    return replace(
        proteins,
        points=proteins.points @ rotation.T + shift,
        normals=proteins.normals @ rotation.T,
        residue_positions=proteins.residue_positions @ rotation.T + shift,
        initial_distances=each_grid(proteins.initial_distances, turn),
    )


def save_untrained(
    folder: Path, config: Config, *, proteins: Sequence[str] = ("1crn_A", "1l2y_A"), store: str = "x"
) -> Path:
    """A checkpoint of a model that has learned nothing, always the same; ``store`` is a fingerprint."""
    torch.manual_seed(0)
    weights = MoEDSR(config, len(proteins)).state_dict()
    meta = Meta(step=1, metrics={}, proteins=list(proteins), store_fingerprint=store, git_commit=None)
    return save_checkpoint(folder, config=config, weights=weights, meta=meta, training={})
