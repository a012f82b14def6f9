"""Q-MPNN: equivariant message passing with quasi-geodesic distances (Eqs. 2-4)."""

from dataclasses import dataclass

import torch
from e3nn import o3
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.utils.checkpoint import checkpoint

from moedsr.batches.batch import ProteinBatch
from moedsr.config import RouterConfig
from moedsr.geometry.quasi_geodesic import quasi_geodesic_pairs
from moedsr.models.router.encoders._base import Encoding, RouterWidths, SurfaceEncoder, pool_mean
from moedsr.models.router.encoders._readout import Readout
from moedsr.models.router.equivariant import EquivariantLayerNorm, EquivariantMLP, hidden_irreps, split_irreps
from moedsr.models.router.fused_tensor_product import FusedTensorProduct
from moedsr.models.router.neighbourhoods import neighbourhoods
from moedsr.models.router.radial import GaussianBasis, RadialNetwork, cosine_envelope
from moedsr.models.router.tensor_product import DepthwiseTensorProduct

TENSOR_PRODUCTS = {"torch": DepthwiseTensorProduct, "openequivariance": FusedTensorProduct}

_PAPER_RANGE = 30.0  # Å, last radial centre in the paper


@dataclass(frozen=True)
class _Surroundings:
    """Some points of the clouds with their neighbours, the same for all layers."""

    point: Tensor  # (n,)
    neighbour: Tensor  # (n, K)
    basis: Tensor  # (n, K, radial_basis) of d_ij
    envelope: Tensor  # (n, K, 1) weight of each neighbour; 0 where there is none
    harmonics: Tensor  # (n, (l_max + 1)², K) of x_i - x_j


class QMPNN(SurfaceEncoder):
    """The paper's router backbone: invariant code, equivariant means, blind to translation and rotation."""

    def __init__(self, config: RouterConfig) -> None:
        super().__init__(config)
        irreps = hidden_irreps(config.l_max, config.hidden_channels)
        end = _PAPER_RANGE if config.radial_range == "paper" else config.neighborhood_radius
        self.irreps = irreps
        self.basis = GaussianBasis(config.radial_basis, end, config.radial_gamma)
        scalars = o3.Irreps([irreps[0]])
        self.embed = nn.Linear(config.point_features, scalars.dim)
        self.layers = nn.ModuleList(
            _Layer(scalars if number == 0 else irreps, irreps, config) for number in range(config.layers)
        )
        self.norm = EquivariantLayerNorm(irreps)
        self.invariant = config.pooling == "invariant"
        channels = irreps.num_irreps if self.invariant else irreps.dim
        self.readout = Readout(channels, 2 * scalars.dim, config.protein_features, maximum_only=not self.invariant)
        scalar, *higher = (mul for mul, _ in irreps)
        self.widths = RouterWidths(
            code=config.protein_features,
            equivariant=(scalar, *(mul + scalar for mul in higher)),
        )

    def forward(self, proteins: ProteinBatch, features: Tensor) -> Encoding:
        # e3nn's maps cannot mix precisions, and equivariance would hold to a hundredth only
        with torch.autocast(features.device.type, enabled=False):
            hidden = self.norm(self.point_features(proteins, features.to(proteins.points.dtype)))
        blocks = split_irreps(hidden, self.irreps)
        # a maximum over components of l > 0 depends on the orientation; their norms do not
        lengths = [torch.linalg.vector_norm(block, dim=-1) for block in blocks[1:]]
        pooled = torch.cat([blocks[0][..., 0], *lengths], -1) if self.invariant else hidden
        return Encoding(
            code=self.readout(pooled, proteins.point_protein, proteins.scale),
            equivariant=self._equivariant(proteins, blocks),
        )

    def point_features(self, proteins: ProteinBatch, features: Tensor) -> Tensor:
        """(C, irreps.dim) after all layers, from the features (C, φ_s) of the points."""
        surroundings = self._surroundings(proteins)
        hidden: Tensor = self.embed(features)
        for layer in self.layers:
            hidden = layer(hidden, surroundings)
        return hidden

    def _equivariant(self, proteins: ProteinBatch, blocks: list[Tensor]) -> tuple[Tensor, ...]:
        """Means of the points' features, and of their scalars times the harmonics of their direction from the middle.

        The latter are as many for every degree as there are scalars, enough to span it.
        """
        owner, size = proteins.point_protein, proteins.size
        outward = proteins.points - pool_mean(proteins.points, owner, size)[owner]
        means = [pool_mean(blocks[0], owner, size)]
        for degree, block in enumerate(blocks[1:], start=1):
            harmonics = o3.spherical_harmonics(degree, outward, normalize=True, normalization="component")
            features = torch.cat([block, blocks[0] * harmonics[:, None]], 1)
            means.append(pool_mean(features, owner, size))
        return tuple(means)

    def _surroundings(self, proteins: ProteinBatch) -> list[_Surroundings]:
        config, known = self.config, proteins.cloud_pairs
        if known is not None:
            target, source, distance = known.target, known.source, known.distance
        else:
            target, source, distance = quasi_geodesic_pairs(
                points=proteins.points,
                normals=proteins.normals,
                protein=proteins.point_protein,
                smoothing=config.normal_smoothing,
                radius=config.neighborhood_radius,
            )
        # one more for what is padded: no neighbour
        envelope = pad(self._neighbour_weight(proteins, target, distance), (0, 1))
        distance = pad(distance, (0, 1))
        surroundings = []
        for near in neighbourhoods(target, source, len(proteins.points)):
            displacement = proteins.points[near.point, None] - proteins.points[near.neighbour]
            harmonics = o3.spherical_harmonics(
                list(range(config.l_max + 1)), displacement, normalize=True, normalization="component"
            )
            surroundings.append(
                _Surroundings(
                    point=near.point,
                    neighbour=near.neighbour,
                    basis=self.basis(distance[near.pair]),
                    envelope=envelope[near.pair][..., None],
                    harmonics=harmonics.mT.contiguous(),
                )
            )
        return surroundings

    def _neighbour_weight(self, proteins: ProteinBatch, target: Tensor, distance: Tensor) -> Tensor:
        """(E,) smooth cutoff over the square root of the protein's mean degree, or ones."""
        if self.config.neighbor_weight == "paper":
            return torch.ones_like(distance)
        owner = proteins.point_protein
        pairs_of = torch.bincount(owner[target], minlength=proteins.size)
        degree = pairs_of / torch.bincount(owner, minlength=proteins.size).clamp_min(1)
        return cosine_envelope(distance, self.config.neighborhood_radius) / degree.clamp_min(1)[owner[target]].sqrt()


class _Layer(nn.Module):
    """One round of messages (Eq. 3) and the update U of the points (Eq. 4).

    The first layer takes scalars only: its products are harmonics times weights.
    """

    def __init__(self, irreps_in: o3.Irreps, irreps: o3.Irreps, config: RouterConfig) -> None:
        super().__init__()
        self.grown = irreps.dim - irreps_in.dim
        self.recompute = config.recompute_messages
        self.norm = EquivariantLayerNorm(irreps_in)
        self.from_target = EquivariantMLP(irreps_in, irreps_in)
        self.from_source = EquivariantMLP(irreps_in, irreps_in)
        self.product = TENSOR_PRODUCTS[config.tensor_product](irreps_in, config.l_max)
        self.radial = RadialNetwork(config.radial_basis, self.product.weight_numel)
        self.linear = o3.Linear(self.product.irreps_out, irreps, biases=True)
        self.update = EquivariantMLP(irreps_in + irreps, irreps)

    def forward(self, hidden: Tensor, surroundings: list[_Surroundings]) -> Tensor:
        """(C, irreps_in.dim) to (C, irreps.dim)."""
        normed = self.norm(hidden)
        target = self.product.arrange(self.from_target(normed))
        source = self.product.arrange(self.from_source(normed))
        sums = []
        for near in surroundings:
            own = target.index_select(0, near.point)
            if self.recompute and torch.is_grad_enabled():
                sums.append(checkpoint(self._messages, own, source, near, use_reentrant=False))
            else:
                sums.append(self._messages(own, source, near))
        place = torch.argsort(torch.cat([near.point for near in surroundings]))
        # linear after the sum is the same as before it, and there are far fewer points than pairs
        message = self.linear(torch.cat(sums)[place])
        residual: Tensor = self.update(torch.cat([normed, message], -1))
        return pad(hidden, (0, self.grown)) + residual

    def _messages(self, target: Tensor, source: Tensor, near: _Surroundings) -> Tensor:
        """Sum (n, product.irreps_out.dim) over the neighbours of some points."""
        weights = self.radial(near.basis) * near.envelope
        summed: Tensor = self.product(target, source, near.neighbour, near.harmonics, weights)
        return summed
