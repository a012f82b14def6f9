"""Q-MPNN as a reader of Eqs. 3 and 4 would write it, edge by edge with e3nn: the oracle of speed, memory and values.

Both ends of every edge go through their networks, e3nn multiplies each message with the harmonics, every product goes
through the linear map, and only then is summed over. The weights are those of the encoder that it is compared with.
"""

import torch
from e3nn import o3
from torch import Tensor

from moedsr.batches.batch import ProteinBatch
from moedsr.geometry.neighbours import pairs_within
from moedsr.geometry.quasi_geodesic import quasi_geodesic_distance, smooth_normals
from moedsr.models.router.encoders.q_mpnn import QMPNN
from moedsr.models.router.radial import cosine_envelope
from moedsr.models.router.tensor_product import DepthwiseTensorProduct


class EdgewiseQMPNN(torch.nn.Module):
    """The features (C, irreps.dim) of the cloud points after all layers of an encoder, computed edge by edge."""

    def __init__(self, encoder: QMPNN) -> None:
        super().__init__()
        self.encoder = encoder
        self.products = torch.nn.ModuleList(e3nn_product(layer.product) for layer in encoder.layers)

    def forward(self, proteins: ProteinBatch, features: Tensor) -> Tensor:
        config = self.encoder.config
        normals = smooth_normals(proteins.points, proteins.normals, proteins.point_protein, config.normal_smoothing)
        target, source = pairs_within(
            points=proteins.points, protein=proteins.point_protein, radius=config.neighborhood_radius
        )
        displacement = proteins.points[target] - proteins.points[source]
        distance = quasi_geodesic_distance(displacement, normals[target], normals[source])
        near = distance < config.neighborhood_radius
        target, source, displacement, distance = target[near], source[near], displacement[near], distance[near]
        owner = proteins.point_protein
        degree = torch.bincount(owner[target], minlength=proteins.size) / torch.bincount(owner)
        degree = degree.clamp_min(1)[owner[target]]
        envelope = (cosine_envelope(distance, config.neighborhood_radius) / degree.sqrt())[:, None]
        basis = self.encoder.basis(distance)
        harmonics = o3.spherical_harmonics(
            o3.Irreps.spherical_harmonics(config.l_max), displacement, normalize=True, normalization="component"
        )
        hidden = self.encoder.embed(features)
        for layer, product in zip(self.encoder.layers, self.products, strict=True):
            normed = layer.norm(hidden)
            message = layer.from_target(normed[target]) + layer.from_source(normed[source])
            message = product(message, harmonics, layer.radial(basis) * envelope)
            mapped = layer.linear(message) - layer.linear(torch.zeros_like(message[:1]))  # its bias is added once
            summed = hidden.new_zeros(len(hidden), mapped.shape[1]).index_add(0, target, mapped)
            summed = summed + layer.linear(torch.zeros_like(message[:1]))
            residual = layer.update(torch.cat([normed, summed], -1))
            hidden = torch.nn.functional.pad(hidden, (0, layer.grown)) + residual
        return hidden


def e3nn_product(product: DepthwiseTensorProduct) -> o3.TensorProduct:
    """e3nn's product with the same paths and normalisation."""
    return o3.TensorProduct(
        product.irreps_in,
        o3.Irreps.spherical_harmonics(product.l_max),
        product.irreps_out,
        product.instructions,
        shared_weights=False,
        internal_weights=False,
        irrep_normalization="component",
        path_normalization="element",
    )
