"""What every router backbone takes and gives."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from moedsr.batches.batch import ProteinBatch
from moedsr.config import RouterConfig


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """What a backbone says of each protein."""

    code: Tensor  # (B, φ_P) protein code h^p
    equivariant: tuple[Tensor, ...] = ()  # degree l: (B, C_l, 2l+1); empty for a backbone without irreps


@dataclass(frozen=True, kw_only=True)
class RouterWidths:
    """Channels of an encoding, for whoever reads it."""

    code: int  # φ_P
    equivariant: tuple[int, ...] = ()  # C_l of each degree


class SurfaceEncoder(nn.Module, ABC):
    """A router backbone: surface cloud with point features to protein code.

    A protein's encoding must not depend on its batch mates, nor on the order of its points.

    Attributes:
        widths: channels of its encodings; a backbone with irreps replaces it.
    """

    def __init__(self, config: RouterConfig) -> None:
        super().__init__()
        self.config = config
        self.widths = RouterWidths(code=config.protein_features)

    @abstractmethod
    def forward(self, proteins: ProteinBatch, features: Tensor) -> Encoding:
        """Encode proteins from their clouds and the features (C, φ_s) of the cloud points."""


def pool_mean(values: Tensor, protein: Tensor, size: int) -> Tensor:
    """(C, …) to (B, …): mean over the points of each protein."""
    total = values.new_zeros(size, *values.shape[1:]).index_add(0, protein, values)
    count = torch.bincount(protein, minlength=size).clamp_min(1)
    return total / count.view(-1, *[1] * (values.dim() - 1))


def pool_max(values: Tensor, protein: Tensor, size: int) -> Tensor:
    """(C, K) to (B, K): maximum over the points of each protein."""
    start = values.new_full((size, values.shape[1]), -torch.inf)
    return start.scatter_reduce(0, protein[:, None].expand_as(values), values, "amax")
