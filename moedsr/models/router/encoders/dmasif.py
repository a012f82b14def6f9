"""dMaSIF (F. Sverrisson et al., CVPR 2021): quasi-geodesic convolutions on an oriented surface cloud."""

import torch
from torch import Tensor, nn

from moedsr.batches.batch import ProteinBatch
from moedsr.config import RouterConfig
from moedsr.geometry.curvature import curvatures
from moedsr.geometry.quasi_geodesic import smooth_normals
from moedsr.models.router.encoders._base import Encoding, SurfaceEncoder
from moedsr.models.router.encoders._quasi_geodesic_convolution import FramedSurface, QuasiGeodesicConvolution
from moedsr.models.router.encoders._readout import Readout

_SCALES = (1.0, 2.0, 3.0, 5.0, 10.0)  # Å, of the curvatures


class DMaSIF(SurfaceEncoder):
    """Curvatures beside the chemical features, convolutions in learned tangent frames; blind to rigid motions.

    Takes the clouds of the store instead of sampling its own from atoms. Normalisation is per protein, where the
    published code mixes the proteins of a batch. A mirror image has another code.
    """

    def __init__(self, config: RouterConfig) -> None:
        super().__init__(config)
        width = 6 * config.hidden_channels
        inputs = config.point_features + 2 * len(_SCALES)
        self.orientation = nn.Sequential(
            nn.Linear(inputs, config.hidden_channels), nn.LeakyReLU(0.2), nn.Linear(config.hidden_channels, 1)
        )
        self.layers = nn.ModuleList(
            _Layer(width if number else inputs, config.hidden_channels, width) for number in range(config.layers)
        )
        self.readout = Readout(width, 4 * config.hidden_channels, config.protein_features)

    def forward(self, proteins: ProteinBatch, features: Tensor) -> Encoding:
        """Encode proteins from their clouds and the features (C, φ_s) of the cloud points."""
        points, protein = proteins.points, proteins.point_protein
        with torch.no_grad():
            shape = curvatures(points, proteins.normals, protein, _SCALES)
        normals = smooth_normals(points, proteins.normals, protein, self.config.normal_smoothing)
        values = torch.cat([features, shape], -1)
        scores = self.orientation(values)[:, 0].to(points.dtype)
        surface = FramedSurface.of(points, normals, protein, scores, self.config.neighborhood_radius)
        for layer in self.layers:
            values = layer(surface, values)
        return Encoding(code=self.readout(values, protein, proteins.scale))


class _Layer(nn.Module):
    """A convolution and an MLP, beside a linear map of what came in."""

    def __init__(self, width_in: int, hidden: int, width_out: int) -> None:
        super().__init__()
        self.convolution = QuasiGeodesicConvolution(width_in, hidden, width_out)
        self.mlp = nn.Sequential(nn.Linear(width_out, width_out), nn.ReLU(), nn.Linear(width_out, width_out))
        self.skip = nn.Linear(width_in, width_out)

    def forward(self, surface: FramedSurface, features: Tensor) -> Tensor:
        """(P, width_in) to (P, width_out)."""
        result: Tensor = self.skip(features) + self.mlp(self.convolution(surface, features))
        return result
