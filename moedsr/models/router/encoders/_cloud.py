"""What the backbones on plain coordinates share: clouds, their neighbourhoods, and the way in and out."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import torch
from torch import Tensor, nn

from moedsr.batches.batch import ProteinBatch
from moedsr.config import RouterConfig
from moedsr.geometry.neighbours import farthest_points_of_each, nearest
from moedsr.models.router.encoders._base import Encoding, SurfaceEncoder, pool_mean
from moedsr.models.router.encoders._readout import Readout

UNIT = 10.0
"""Å; coordinates of most proteins are then of order one."""

_FEWEST = 16  # a thinned cloud keeps so many points, so that neighbourhoods of small proteins do not collapse


@dataclass(frozen=True)
class Neighbourhood:
    """The nearest points of each of Q points, nearest first; missing ones repeat the nearest."""

    index: Tensor  # (Q, k)
    found: Tensor  # (Q,) how many of the k exist, at least one
    offset: Tensor  # (Q, k, 3) neighbour minus centre, in UNIT

    @property
    def mask(self) -> Tensor:
        """(Q, k), False where a neighbour is missing."""
        return torch.arange(self.index.shape[1], device=self.index.device) < self.found[:, None]


@dataclass(frozen=True)
class Cloud:
    """Points of several proteins."""

    positions: Tensor  # (P, 3) in UNIT, about the mean of the protein's points
    protein: Tensor  # (P,) ascending

    @classmethod
    def of(cls, proteins: ProteinBatch) -> Self:
        """The clouds of a batch, centred."""
        centre = pool_mean(proteins.points, proteins.point_protein, proteins.size)
        return cls((proteins.points - centre[proteins.point_protein]) / UNIT, proteins.point_protein)

    def thinned(self, ratio: float) -> tuple["Cloud", Tensor]:
        """An even part of the points of each protein, and their indices (Q,)."""
        index = farthest_points_of_each(points=self.positions, protein=self.protein, ratio=ratio, fewest=_FEWEST)
        return Cloud(self.positions[index], self.protein[index]), index

    def around(self, centres: "Cloud", k: int) -> Neighbourhood:
        """The k points of this cloud nearest to each centre."""
        index, mask = nearest(
            queries=centres.positions,
            query_protein=centres.protein,
            points=self.positions,
            point_protein=self.protein,
            k=k,
        )
        index = torch.where(mask, index, index[:, :1])
        return Neighbourhood(index, mask.sum(1), self.positions[index] - centres.positions[:, None])


class CoordinateEncoder(SurfaceEncoder):
    """A backbone that reads coordinates as numbers: blind to translation, not to rotation.

    It sees coordinates about the mean of the cloud in units of 10 Å, the chemical features of the points, and the
    normals if ``use_normals``. How the protein is turned changes the code.
    """

    def __init__(self, config: RouterConfig, channels: int) -> None:
        super().__init__(config)
        self.readout = Readout(channels, 4 * config.hidden_channels, config.protein_features)

    def forward(self, proteins: ProteinBatch, features: Tensor) -> Encoding:
        """Encode proteins from their clouds and the features (C, φ_s) of the cloud points."""
        inputs = torch.cat([features, proteins.normals], -1) if self.config.use_normals else features
        cloud, values = self.encode(Cloud.of(proteins), inputs)
        return Encoding(code=self.readout(values, cloud.protein, proteins.scale))

    @abstractmethod
    def encode(self, cloud: Cloud, features: Tensor) -> tuple[Cloud, Tensor]:
        """A cloud of fewer points and their features (Q, channels), from features (P, ``input_features``)."""


def input_features(config: RouterConfig) -> int:
    """Features of a point besides its coordinates."""
    return config.point_features + 3 * config.use_normals


def gather(values: Tensor, index: Tensor) -> Tensor:
    """(P, K) and (Q, k) to (Q, k, K); its backward pass is several times faster than that of ``values[index]``."""
    return nn.functional.embedding(index, values)


def shared_mlp(*widths: int) -> nn.Sequential:
    """Linear, LayerNorm and ReLU for each pair of widths, on every point by itself."""
    return nn.Sequential(*(part for pair in pairwise(widths) for part in _linear(*pair)))


def _linear(width_in: int, width_out: int) -> Sequence[nn.Module]:
    return nn.Linear(width_in, width_out), nn.LayerNorm(width_out), nn.ReLU()
