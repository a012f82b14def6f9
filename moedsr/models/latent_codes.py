"""Latent codes z: one learned vector per training protein, or per replica of it, none for any other."""

import torch
from torch import Tensor, nn

from moedsr.config import ExpertConfig


class LatentCodes(nn.Module):
    """Table of codes; a protein without one gets zeros.

    Args:
        config: size and initial spread; the paper's N(0, 1) has norm √φ_z and swamps the coordinates, hence 1/√φ_z.
        rows: number of codes.
    """

    def __init__(self, config: ExpertConfig, rows: int) -> None:
        super().__init__()
        size = config.latent_size
        std = 1.0 if config.latent_init == "paper" or size == 0 else size**-0.5
        self.table = nn.Parameter(torch.randn(rows, size) * std)

    def forward(self, index: Tensor, keep: Tensor | None = None) -> Tensor:
        """Codes (B, φ_z) of rows (B,), zero where the row is -1 or ``keep`` (B,) is 0."""
        known = (index >= 0).to(self.table)
        if keep is not None:
            known = known * keep
        codes: Tensor = self.table[index.clamp_min(0)] * known[:, None]
        return codes

    def mean(self) -> Tensor:
        """(1, φ_z), of all rows."""
        return self.table.detach().mean(0, keepdim=True)
