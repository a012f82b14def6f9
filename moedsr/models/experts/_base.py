"""The field contract: what every kind of expert takes and gives."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from moedsr.batch import ProteinBatch
from moedsr.models.encoders import Encoding
from moedsr.models.gate import Gates


@dataclass(frozen=True, kw_only=True)
class FieldContext:
    """All that the field needs of the proteins, computed once; B proteins."""

    proteins: ProteinBatch
    encoding: Encoding
    gates: Gates
    codes: Tensor  # (B, φ_z) latent codes

    @property
    def side(self) -> Tensor:
        """(B, φ_P + φ_z): protein code and latent code."""
        return torch.cat([self.encoding.code, self.codes], -1)


class Experts(nn.Module, ABC):
    """The mixture F(x, t) = Σ_k G_k E_k(x, t) over the experts that the gate chose; nothing else computes."""

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
