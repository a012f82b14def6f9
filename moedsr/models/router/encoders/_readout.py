"""From features of points to the code of a protein, the same for every backbone."""

import torch
from torch import Tensor, nn

from moedsr.models.router.encoders._base import pool_max, pool_mean

_TYPICAL_SCALE = 30.0  # Å, brings log(scale) near zero for proteins of about 150 residues


class Readout(nn.Module):
    """Maximum and mean over the points of a protein, beside the logarithm of its scale; then an MLP.

    The maximum alone would depend on how densely the surface was sampled.
    """

    def __init__(self, channels: int, hidden: int, protein_features: int, *, maximum_only: bool = False) -> None:
        super().__init__()
        self.pools = (pool_max,) if maximum_only else (pool_max, pool_mean)
        self.mlp = nn.Sequential(
            nn.Linear(len(self.pools) * channels + 1, hidden),
            nn.SiLU(),
            nn.Linear(hidden, protein_features),
            nn.LayerNorm(protein_features),
        )

    def forward(self, values: Tensor, protein: Tensor, scale: Tensor) -> Tensor:
        """Code (B, φ_P) from values (P, channels), their proteins (P,) ascending, and scales (B,) in Å."""
        values = values.to(scale.dtype)  # a sum over a thousand points does not fit into bfloat16
        size = torch.log(scale / _TYPICAL_SCALE)[:, None]
        pooled = [pool(values, protein, len(scale)) for pool in self.pools]
        code: Tensor = self.mlp(torch.cat([*pooled, size], -1))
        return code
