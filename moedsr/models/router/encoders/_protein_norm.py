"""Group normalisation over the points of one protein."""

import torch
from torch import Tensor, nn

from moedsr.models.router.encoders._base import pool_mean


class ProteinGroupNorm(nn.Module):
    """Zero mean and unit variance of a group of channels over all points of a protein.

    Unlike statistics over a batch, these do not depend on what else is in it.
    """

    def __init__(self, channels: int, groups: int, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.groups, self.epsilon = groups, epsilon
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, values: Tensor, protein: Tensor) -> Tensor:
        """(P, channels) to the same, from the proteins (P,) of the points."""
        # bfloat16 is too coarse for sums over a thousand points
        grouped = values.to(self.weight.dtype).unflatten(-1, (self.groups, -1))
        size = int(protein[-1]) + 1

        def mean(terms: Tensor) -> Tensor:
            return pool_mean(terms.mean(-1, keepdim=True), protein, size)[protein]

        centred = grouped - mean(grouped)
        normed = centred * (mean(centred.square()) + self.epsilon).rsqrt()
        return normed.flatten(1) * self.weight + self.bias
