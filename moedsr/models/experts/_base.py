"""The field contract: what every kind of expert takes and gives."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from moedsr.batches.batch import ProteinBatch
from moedsr.models.router.encoders import Encoding
from moedsr.models.router.gate import Gates


@dataclass(frozen=True, kw_only=True)
class FieldContext:
    """All that the field needs of the proteins, computed once; B proteins."""

    proteins: ProteinBatch
    encoding: Encoding
    gates: Gates
    codes: Tensor  # (B, φ_z) latent codes

    def side(self, time: Tensor) -> Tensor:
        """(B, F, 1 + φ_P + φ_z): time (B, F), protein code and latent code."""
        constant = torch.cat([self.encoding.code, self.codes], -1)
        return torch.cat([time[..., None], constant[:, None].expand(-1, time.shape[1], -1)], -1)


class Experts(nn.Module, ABC):
    """The mixture F(x, t) = Σ_k G_k E_k(x, t) over the experts that the gate chose; nothing else computes."""

    reads_code_at_start: ClassVar[bool] = True
    """Whether the field at t = -1 depends on the latent code, so that P0 can say what the code should be."""

    refuses: ClassVar[bool] = False
    """Whether it cannot be made from every configuration (InputError): a sweep tries that before it begins."""

    @abstractmethod
    def forward(
        self, points: Tensor, time: Tensor, context: FieldContext, *, gradient: bool = True
    ) -> tuple[Tensor, Tensor | None]:
        """Signed distance, positive outside, and its spatial gradient.

        Args:
            points: (B, F, Q, 3) normalised, about the centre of P0.
            time: (B, F) in [-1, 1].
            context: of the same B proteins.
            gradient: whether ∂F/∂x is wanted.

        Returns:
            value (B, F, Q) normalised, and gradient (B, F, Q, 3) or None.
        """


OneExpert = Callable[[int, Tensor], tuple[Tensor, Tensor | None]]
"""Expert and the n proteins that chose it, to value (n, F, Q) and gradient (n, F, Q, 3) or None."""


def mixture(points: Tensor, gates: Gates, one: OneExpert, *, gradient: bool) -> tuple[Tensor, Tensor | None]:
    """Gated sum over the chosen experts at points (B, F, Q, 3); an expert that nobody chose is not called."""
    value = points.new_zeros(points.shape[:-1])
    slope = torch.zeros_like(points) if gradient else None
    for expert in range(gates.logits.shape[1]):
        protein, rank = (gates.experts == expert).nonzero(as_tuple=True)
        if len(protein) == 0:
            continue
        own = gates.weights[protein, rank][:, None, None]
        part, part_slope = one(expert, protein)
        value = value.index_add(0, protein, own * part)
        if slope is not None and part_slope is not None:
            slope = slope.index_add(0, protein, own[..., None] * part_slope)
    return value, slope
