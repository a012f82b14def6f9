"""Depthwise tensor product of irreps features with spherical harmonics (Eq. 3)."""

import torch
from e3nn import o3
from torch import Tensor, nn

from moedsr.models.equivariant import split_irreps


class DepthwiseTensorProduct(nn.Module):
    """Every channel meets every harmonic degree on its own: one weight per edge, path and channel.

    A path (l1, l2) → l3 is kept when |l1 - l2| ≤ l3 ≤ min(l1 + l2, l_max) and its parity is the natural (-1)^l3.
    Each output irrep is normalised by the number of paths that lead to its degree, so that variance neither grows
    nor fades with l_max.

    Attributes:
        irreps_out: one block per path, ordered by degree.
        weight_numel: weights per edge.
    """

    def __init__(self, irreps_in: o3.Irreps, l_max: int) -> None:
        super().__init__()
        self.irreps_in = o3.Irreps(irreps_in)
        self.l_max = l_max
        self._paths = [
            (block, l2, l3)
            for l3 in range(l_max + 1)
            for block, (_, irrep) in enumerate(self.irreps_in)
            for l2 in range(l_max + 1)
            if abs(irrep.l - l2) <= l3 <= irrep.l + l2 and irrep.p * (-1) ** l2 == (-1) ** l3
        ]
        self._multiplicities = [self.irreps_in[block].mul for block, _, _ in self._paths]
        self.irreps_out = o3.Irreps(
            [(mul, (l3, (-1) ** l3)) for mul, (_, _, l3) in zip(self._multiplicities, self._paths, strict=True)]
        )
        self.weight_numel = sum(self._multiplicities)
        into = [l3 for _, _, l3 in self._paths]
        for number, (block, l2, l3) in enumerate(self._paths):
            # component normalisation: unit-variance inputs give unit-variance outputs over all paths into l3
            scale = ((2 * l3 + 1) / into.count(l3)) ** 0.5
            # held in float64 and cast where used: a model that is widened later keeps exact coefficients
            coupling = o3.wigner_3j(self.irreps_in[block].ir.l, l2, l3, dtype=torch.float64) * scale
            self.register_buffer(f"_coupling_{number}", coupling, persistent=False)

    def geometry(self, harmonics: Tensor) -> list[Tensor]:
        """Clebsch-Gordan coefficients already contracted with the harmonics; the same for every layer.

        Args:
            harmonics: (E, (l_max + 1)²) component-normalised, degrees 0…l_max.

        Returns:
            one (E, 2 l1 + 1, 2 l3 + 1) per path.
        """
        by_degree = harmonics.split([2 * degree + 1 for degree in range(self.l_max + 1)], dim=-1)
        return [
            torch.einsum("ijk,ej->eik", getattr(self, f"_coupling_{number}").to(harmonics), by_degree[l2])
            for number, (_, l2, _) in enumerate(self._paths)
        ]

    def forward(self, features: Tensor, geometry: list[Tensor], weights: Tensor) -> Tensor:
        """(E, irreps_in.dim) features and (E, weight_numel) weights to (E, irreps_out.dim)."""
        blocks = split_irreps(features, self.irreps_in)
        outputs = [
            ((blocks[block] * weight[..., None]) @ coupling).flatten(-2)
            for (block, _, _), coupling, weight in zip(
                self._paths, geometry, weights.split(self._multiplicities, dim=-1), strict=True
            )
        ]
        return torch.cat(outputs, -1)
