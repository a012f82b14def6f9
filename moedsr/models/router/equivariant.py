"""Node-wise O(3)-equivariant building blocks on e3nn irreps."""

import torch
from e3nn import nn as e3nn_nn
from e3nn import o3
from torch import Tensor, nn


def hidden_irreps(l_max: int, channels: int) -> o3.Irreps:
    """``channels`` scalars and channels / 2^l features of each degree l ≤ l_max, natural parity (-1)^l."""
    return o3.Irreps([(max(channels // 2**degree, 1), (degree, (-1) ** degree)) for degree in range(l_max + 1)])


class EquivariantLayerNorm(nn.Module):
    """Layer normalisation degree by degree: scalars as usual, l > 0 by the rms of their norms over channels."""

    def __init__(self, irreps: o3.Irreps, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.irreps = o3.Irreps(irreps)
        self.epsilon = epsilon
        self.weight = nn.ParameterList([nn.Parameter(torch.ones(mul)) for mul, _ in self.irreps])
        self.bias = nn.Parameter(torch.zeros(self.irreps.count("0e")))

    def forward(self, features: Tensor) -> Tensor:
        """(N, irreps.dim) to the same."""
        blocks = []
        for (mul, irrep), block, weight in zip(self.irreps, self._split(features), self.weight, strict=True):
            if irrep.l == 0:
                blocks.append(nn.functional.layer_norm(block[..., 0], (mul,), weight, self.bias, self.epsilon))
            else:
                square = block.square().sum(-1, keepdim=True).mean(-2, keepdim=True)
                blocks.append((block * (square + self.epsilon).rsqrt() * weight[:, None]).flatten(-2))
        return torch.cat(blocks, -1)

    def _split(self, features: Tensor) -> list[Tensor]:
        return split_irreps(features, self.irreps)


class EquivariantMLP(nn.Module):
    """Linear, gated nonlinearity, Linear: what "MLP" has to mean on features of degree l > 0.

    An ordinary MLP on such features is not equivariant. Scalars pass through SiLU, a degree l > 0 is scaled by the
    sigmoid of a learned scalar.
    """

    def __init__(self, irreps_in: o3.Irreps, irreps_out: o3.Irreps) -> None:
        super().__init__()
        self.irreps_in, self.irreps_out = o3.Irreps(irreps_in), o3.Irreps(irreps_out)
        scalars = o3.Irreps([(mul, irrep) for mul, irrep in self.irreps_out if irrep.l == 0])
        gated = o3.Irreps([(mul, irrep) for mul, irrep in self.irreps_out if irrep.l > 0])
        gates = o3.Irreps([(gated.num_irreps, "0e")]) if gated.dim else o3.Irreps("")
        self.gate = e3nn_nn.Gate(scalars, [nn.functional.silu], gates, [torch.sigmoid] if gated.dim else [], gated)
        self.inner = o3.Linear(self.irreps_in, self.gate.irreps_in, biases=True)
        self.outer = o3.Linear(self.gate.irreps_out, self.irreps_out, biases=True)

    def forward(self, features: Tensor) -> Tensor:
        """(N, irreps_in.dim) to (N, irreps_out.dim)."""
        result: Tensor = self.outer(self.gate(self.inner(features)))
        return result


def split_irreps(features: Tensor, irreps: o3.Irreps) -> list[Tensor]:
    """Blocks (N, multiplicity, 2l+1), one per irrep, of features (N, irreps.dim)."""
    blocks = features.split([mul * irrep.dim for mul, irrep in irreps], dim=-1)
    return [block.unflatten(-1, (mul, irrep.dim)) for (mul, irrep), block in zip(irreps, blocks, strict=True)]
