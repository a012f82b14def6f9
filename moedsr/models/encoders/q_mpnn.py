"""Q-MPNN: equivariant message passing with quasi-geodesic distances (Eqs. 2-4)."""

from dataclasses import dataclass

import torch
from e3nn import o3
from torch import Tensor, nn

from moedsr.batch import ProteinBatch
from moedsr.config import RouterConfig
from moedsr.geometry.neighbours import pairs_within
from moedsr.geometry.quasi_geodesic import quasi_geodesic_distance, smooth_normals
from moedsr.models.encoders._base import Encoding, RouterWidths, SurfaceEncoder, pool_mean
from moedsr.models.encoders._readout import Readout
from moedsr.models.equivariant import EquivariantLayerNorm, EquivariantMLP, hidden_irreps, split_irreps
from moedsr.models.radial import GaussianBasis, RadialNetwork, cosine_envelope
from moedsr.models.tensor_product import DepthwiseTensorProduct

_PAPER_RANGE = 30.0  # Å, last radial centre in the paper


@dataclass(frozen=True)
class _Edges:
    """Geometry of P0's cloud, the same for all layers."""

    target: Tensor  # (E,)
    source: Tensor  # (E,)
    basis: Tensor  # (E, n) radial basis of d_ij
    envelope: Tensor  # (E, 1) smooth cutoff over the square root of the protein's mean degree
    harmonics: Tensor  # (E, (l_max + 1)²) of x_i - x_j


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
        self.readout = Readout(irreps.num_irreps, 2 * scalars.dim, config.protein_features)
        local = tuple(mul for mul, _ in irreps)
        self.widths = RouterWidths(
            code=config.protein_features,
            equivariant=(local[0], *(mul + local[0] for mul in local[1:])),
            local=local,
        )

    def forward(self, proteins: ProteinBatch, features: Tensor) -> Encoding:
        edges = self._edges(proteins)
        hidden = self.embed(features)
        for layer in self.layers:
            hidden = layer(hidden, edges)
        blocks = split_irreps(self.norm(hidden), self.irreps)
        # a maximum over components of l > 0 would depend on the orientation; their norms do not
        invariant = torch.cat([blocks[0][..., 0]] + [torch.linalg.vector_norm(b, dim=-1) for b in blocks[1:]], -1)
        return Encoding(
            code=self.readout(invariant, proteins.point_protein, proteins.scale),
            equivariant=self._equivariant(proteins, blocks),
            local=tuple(blocks),
        )

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

    def _edges(self, proteins: ProteinBatch) -> _Edges:
        config = self.config
        normals = smooth_normals(proteins.points, proteins.normals, proteins.point_protein, config.normal_smoothing)
        # d_ij ≥ |x_i - x_j|, so a Euclidean search at the same radius misses nothing
        target, source = pairs_within(
            points=proteins.points, protein=proteins.point_protein, radius=config.neighborhood_radius
        )
        displacement = proteins.points[target] - proteins.points[source]
        distance = quasi_geodesic_distance(displacement, normals[target], normals[source])
        near = distance < config.neighborhood_radius
        target, source, displacement, distance = (
            target[near],
            source[near],
            displacement[near],
            distance[near],
        )
        harmonics = o3.spherical_harmonics(
            list(range(config.l_max + 1)), displacement, normalize=True, normalization="component"
        )
        edges_of = torch.bincount(proteins.point_protein[target], minlength=proteins.size)
        points_of = torch.bincount(proteins.point_protein, minlength=proteins.size)
        degree = (edges_of / points_of.clamp_min(1)).clamp_min(1)[proteins.point_protein[target]]
        return _Edges(
            target=target,
            source=source,
            basis=self.basis(distance),
            envelope=(cosine_envelope(distance, config.neighborhood_radius) / degree.sqrt())[:, None],
            harmonics=harmonics,
        )


class _Layer(nn.Module):
    """One round of messages (Eq. 3) and the update U of the points (Eq. 4).

    The first layer takes scalars only: its products are harmonics times weights.
    """

    def __init__(self, irreps_in: o3.Irreps, irreps: o3.Irreps, config: RouterConfig) -> None:
        super().__init__()
        self.grown = irreps.dim - irreps_in.dim
        self.norm = EquivariantLayerNorm(irreps_in)
        self.from_target = EquivariantMLP(irreps_in, irreps_in)
        self.from_source = EquivariantMLP(irreps_in, irreps_in)
        self.product = DepthwiseTensorProduct(irreps_in, config.l_max)
        self.radial = RadialNetwork(config.radial_basis, self.product.weight_numel)
        self.linear = o3.Linear(self.product.irreps_out, irreps, biases=True)
        self.update = EquivariantMLP(irreps_in + irreps, irreps)

    def forward(self, hidden: Tensor, edges: _Edges) -> Tensor:
        """(C, irreps_in.dim) to (C, irreps.dim)."""
        normed = self.norm(hidden)
        message = self.from_target(normed)[edges.target] + self.from_source(normed)[edges.source]
        weights = self.radial(edges.basis) * edges.envelope
        message = self.product(message, self.product.geometry(edges.harmonics), weights)
        summed = message.new_zeros(len(hidden), message.shape[1]).index_add(0, edges.target, message)
        # linear after the sum is the same as before it, and there are far fewer points than edges
        residual: Tensor = self.update(torch.cat([normed, self.linear(summed)], -1))
        return nn.functional.pad(hidden, (0, self.grown)) + residual
