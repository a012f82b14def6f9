"""Depthwise tensor product of irreps features with spherical harmonics (Eq. 3), summed over neighbours."""

import torch
from e3nn import o3
from torch import Tensor, nn

from moedsr.models.router.equivariant import split_irreps


class DepthwiseTensorProduct(nn.Module):
    """Every channel meets every harmonic degree on its own: one weight per edge, path and channel.

    A path (l1, l2) → l3 is kept when |l1 - l2| ≤ l3 ≤ min(l1 + l2, l_max) and its parity is the natural (-1)^l3.
    Each output irrep is normalised by the number of paths that lead to its degree, so that variance neither grows
    nor fades with l_max.

    Clebsch-Gordan coefficients are the same for all neighbours: features times weights are multiplied with the
    harmonics and summed over the neighbours in one matrix product per degree, and only the sum meets the coefficients.
    No product of single edges is ever formed.

    Attributes:
        irreps_out: one block per path, ordered by degree.
        weight_numel: weights per edge.
        paths: (block of ``irreps_in``, l2, l3) of each output block.
        multiplicities: channels of each path.
    """

    def __init__(self, irreps_in: o3.Irreps, l_max: int) -> None:
        super().__init__()
        self.irreps_in = o3.Irreps(irreps_in)
        self.l_max = l_max
        self.paths = [
            (block, l2, l3)
            for l3 in range(l_max + 1)
            for block, (_, irrep) in enumerate(self.irreps_in)
            for l2 in range(l_max + 1)
            if abs(irrep.l - l2) <= l3 <= irrep.l + l2 and irrep.p * (-1) ** l2 == (-1) ** l3
        ]
        self.multiplicities = [self.irreps_in[block].mul for block, _, _ in self.paths]
        self.irreps_out = o3.Irreps(
            [(mul, (l3, (-1) ** l3)) for mul, (_, _, l3) in zip(self.multiplicities, self.paths, strict=True)]
        )
        self.weight_numel = sum(self.multiplicities)
        into = [l3 for _, _, l3 in self.paths]
        for number, (block, l2, l3) in enumerate(self.paths):
            # component normalisation: unit-variance inputs give unit-variance outputs over all paths into l3
            scale = ((2 * l3 + 1) / into.count(l3)) ** 0.5
            # held in float64 and cast where used: a model that is widened later keeps exact coefficients
            coupling = o3.wigner_3j(self.irreps_in[block].ir.l, l2, l3, dtype=torch.float64) * scale
            self.register_buffer(f"_coupling_{number}", coupling, persistent=False)

    @property
    def instructions(self) -> list[tuple[int, int, int, str, bool, float]]:
        """The same product in the terms of e3nn, component and element normalised."""
        into = [l3 for _, _, l3 in self.paths]
        return [(block, l2, out, "uvu", True, 1 / into.count(l3)) for out, (block, l2, l3) in enumerate(self.paths)]

    def arrange(self, features: Tensor) -> Tensor:
        """Features (N, irreps_in.dim) as ``forward`` reads them: each block (2l+1, multiplicity), fast to multiply."""
        return torch.cat([block.mT.flatten(1) for block in split_irreps(features, self.irreps_in)], -1)

    def forward(self, target: Tensor, source: Tensor, index: Tensor, harmonics: Tensor, weights: Tensor) -> Tensor:
        """Σ_j w_ij (target_i + source_j) ⊗ Y_ij over the neighbours j of each point i.

        Args:
            target: (n, irreps_in.dim) of the points themselves, arranged.
            source: (N, irreps_in.dim) of all points, arranged.
            index: (n, K) neighbours, rows of ``source``.
            harmonics: (n, (l_max + 1)², K) component-normalised, degrees 0…l_max.
            weights: (n, K, weight_numel), zero where there is no neighbour.

        Returns:
            (n, irreps_out.dim), in the order of e3nn.
        """
        features = target[:, None] + source.index_select(0, index.flatten()).unflatten(0, index.shape)
        widths = [irrep.dim * mul for mul, irrep in self.irreps_in]
        blocks = [
            block.unflatten(-1, (irrep.dim, mul))
            for block, (mul, irrep) in zip(features.split(widths, -1), self.irreps_in, strict=True)
        ]
        weight_of = weights.split(self.multiplicities, dim=-1)
        outputs: list[Tensor] = [target] * len(self.paths)
        for degree in range(self.l_max + 1):
            numbers = [number for number, (_, l2, _) in enumerate(self.paths) if l2 == degree]
            weighted = [(weight_of[i][:, :, None] * blocks[self.paths[i][0]]).flatten(-2) for i in numbers]
            summed = harmonics[:, degree**2 : (degree + 1) ** 2] @ torch.cat(weighted, -1)
            for i, product in zip(numbers, summed.split([part.shape[-1] for part in weighted], -1), strict=True):
                outputs[i] = self._couple(i, product)
        return torch.cat(outputs, -1)

    def _couple(self, number: int, product: Tensor) -> Tensor:
        """(n, 2 l2 + 1, (2 l1 + 1) · mul) of a path to (n, mul · (2 l3 + 1))."""
        coupling = getattr(self, f"_coupling_{number}").to(product)
        product = product.unflatten(-1, (len(coupling), -1))
        return torch.einsum("nbau,abc->nuc", product, coupling).flatten(1)
