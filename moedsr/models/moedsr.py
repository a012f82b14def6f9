"""MoE-DSR: router, latent codes and experts as one field."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from moedsr.batches.batch import ProteinBatch, TrainingBatch
from moedsr.config import Config
from moedsr.models.experts import EXPERTS, FieldContext
from moedsr.models.experts.initial_distance import initial_distance
from moedsr.models.experts.stacked import StackedLinear
from moedsr.models.latent_codes import LatentCodes
from moedsr.models.router.router import ROUTERS
from moedsr.models.variants import choose


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What the losses of one training batch need; B proteins, F frames, S surface and Q off-surface points."""

    surface_value: Tensor  # (B, F, S)
    surface_gradient: Tensor  # (B, F, S, 3)
    off_surface_gradient: Tensor  # (B, F, Q, 3)
    occupancy_value: Tensor  # (B, F, V)
    initial_value: Tensor  # (B, F, V) P0's signed distance at those points; V = 0 where it is not known
    context: FieldContext


class MoEDSR(nn.Module):
    """The signed distance to a protein's moving surface, given its initial conformation.

    Args:
        config: architecture.
        codes: number of latent codes, one for each training protein or each of its replicas.
    """

    def __init__(self, config: Config, codes: int) -> None:
        super().__init__()
        self.config = config
        self.router = choose(ROUTERS, config.router.backbone, "router.backbone")(config)
        self.codes = LatentCodes(config.expert, codes)
        self.experts = choose(EXPERTS, config.expert.kind, "expert.kind")(config.expert, router=self.router.widths)

    def parameter_counts(self) -> tuple[int, int]:
        """Weights of router and experts, and those of them that compute for one protein: N_K of the N_E experts."""
        total = sum(weight.numel() for part in (self.router, self.experts) for weight in part.parameters())
        stacks = (layer for layer in self.experts.modules() if isinstance(layer, StackedLinear))
        stacked = sum(weight.numel() for layer in stacks for weight in layer.parameters())
        idle = self.config.expert.count - self.config.gate.top_k
        return total, total - stacked // self.config.expert.count * idle

    def context(
        self,
        proteins: ProteinBatch,
        *,
        noise: Tensor | None = None,
        keep_code: Tensor | None = None,
        codes: Tensor | None = None,
    ) -> FieldContext:
        """All that the field needs of these proteins; reused for every frame and point.

        Args:
            proteins: B of them.
            noise: (B, N_E) gate noise while training.
            keep_code: (B,) 0 where the latent code is dropped.
            codes: (B, φ_z) in place of the table's, for proteins whose code was fitted.
        """
        encoding, gates = self.router(proteins, noise)
        if codes is None:
            codes = self.codes(proteins.code_index, keep_code)
        return FieldContext(proteins=proteins, encoding=encoding, gates=gates, codes=codes)

    def field(
        self, points: Tensor, time: Tensor, context: FieldContext, *, gradient: bool = True
    ) -> tuple[Tensor, Tensor | None]:
        """Signed distance (B, F, Q) and gradient (B, F, Q, 3) at points (B, F, Q, 3) and times (B, F), normalised."""
        result: tuple[Tensor, Tensor | None] = self.experts(points, time, context, gradient=gradient)
        return result

    def forward(self, batch: TrainingBatch) -> Prediction:
        """Evaluate the field wherever the losses look; surface and off-surface points in one pass."""
        context = self.context(batch.proteins, noise=batch.gate_noise, keep_code=batch.keep_code)
        surface = batch.surface_points.shape[2]
        points = torch.cat([batch.surface_points, batch.off_surface_points], 2)
        value, gradient = self.field(points, batch.time, context)
        assert gradient is not None
        occupancy = batch.occupied
        if occupancy.shape[-1]:
            occupancy, _ = self.field(batch.occupancy_points, batch.time, context, gradient=False)
        initial = _initial_value(batch)
        return Prediction(
            surface_value=value[:, :, :surface],
            surface_gradient=gradient[:, :, :surface],
            off_surface_gradient=gradient[:, :, surface:],
            occupancy_value=occupancy,
            initial_value=initial,
            context=context,
        )


def _initial_value(batch: TrainingBatch) -> Tensor:
    proteins, points = batch.proteins, batch.occupancy_points
    if proteins.initial_distances is None:
        return points.new_zeros(*points.shape[:2], 0)
    positions = points.flatten(1, 2) * proteins.scale[:, None, None]
    owner = torch.arange(proteins.size, device=points.device)
    value, _ = initial_distance(proteins.initial_distances, owner, positions)
    return (value / proteins.scale[:, None]).view(points.shape[:-1])
