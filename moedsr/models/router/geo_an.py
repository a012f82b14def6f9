"""GeoAN: chemical features of surface points from their nearest residues."""

import torch
from torch import Tensor, nn

from moedsr.batches.batch import RESIDUE_TYPE_COUNT, ProteinBatch
from moedsr.config import RouterConfig
from moedsr.geometry.neighbours import nearest

_CLOSEST = 1.0  # Å; no Cα comes nearer to a solvent-excluded surface, and 1/d² stays bounded


class GeoAN(nn.Module):
    """Mean over the ζ nearest residues of MLP(residue embedding ⊕ [1/d², 1/d]), then a second MLP.

    The paper feeds 1/d² alone, which is nearly constant (0.01-0.1 Å⁻²) at the distances of Cα atoms; 1/d and a
    layer normalisation bring the distance to the scale of the embedding.
    """

    def __init__(self, config: RouterConfig) -> None:
        super().__init__()
        self.nearest_residues = config.nearest_residues
        self.powers = (2,) if config.residue_distance == "paper" else (2, 1)
        width = config.point_features
        self.embedding = nn.Embedding(RESIDUE_TYPE_COUNT, config.residue_features)
        self.message = nn.Sequential(
            nn.Linear(config.residue_features + len(self.powers), width),
            nn.LayerNorm(width),
            nn.SiLU(),
            nn.Linear(width, width),
        )
        self.update = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, proteins: ProteinBatch) -> Tensor:
        """Features (C, φ_s) of the cloud points; invariant under rotation and translation."""
        index, found = nearest(
            queries=proteins.points,
            query_protein=proteins.point_protein,
            points=proteins.residue_positions,
            point_protein=proteins.residue_protein,
            k=self.nearest_residues,
        )
        displacement = proteins.points[:, None] - proteins.residue_positions[index]
        inverse = 1 / torch.linalg.vector_norm(displacement, dim=-1, keepdim=True).clamp_min(_CLOSEST)
        residues = self.embedding(proteins.residue_types[index])
        closeness = [inverse**power for power in self.powers]
        messages = self.message(torch.cat([residues, *closeness], -1)) * found[..., None]
        features: Tensor = self.update(messages.sum(1) / found.sum(1, keepdim=True).clamp_min(1))
        return features
