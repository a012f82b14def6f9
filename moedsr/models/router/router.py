"""The router: which experts should model this protein."""

from typing import Final

import torch
from torch import Tensor, nn

from moedsr.batches.batch import ProteinBatch
from moedsr.config import Config
from moedsr.models.router.encoders import ENCODERS, Encoding, RouterWidths
from moedsr.models.router.gate import Gates, NoisyTopKGate
from moedsr.models.router.geo_an import GeoAN


class Router(nn.Module):
    """Point features (GeoAN), surface encoder, gate; runs once per protein, whatever the frames and points."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.point_features = GeoAN(config.router)
        self.encoder = ENCODERS[config.router.backbone](config.router)
        for part in (self.point_features, self.encoder):
            part.apply(_preserve_variance)
        self.gate = NoisyTopKGate(config.gate, features=config.router.protein_features, experts=config.expert.count)

    def forward(self, proteins: ProteinBatch, noise: Tensor | None = None) -> tuple[Encoding, Gates]:
        """Encode and route; ``noise`` (B, N_E) standard normal while training."""
        features = self.point_features(proteins)
        encoding: Encoding = self.encoder(proteins, features)
        return encoding, self.gate(encoding.code, noise)

    @property
    def widths(self) -> RouterWidths:
        """Channels of the encodings."""
        widths: RouterWidths = self.encoder.widths
        return widths


class NoRouter(nn.Module):
    """One expert for all: it computes nothing, and says nothing of a protein.

    Args:
        config: with a single expert.
    """

    widths: Final = RouterWidths(code=0)

    def __init__(self, config: Config) -> None:
        super().__init__()
        assert config.expert.count == 1

    def forward(self, proteins: ProteinBatch, noise: Tensor | None = None) -> tuple[Encoding, Gates]:
        """Encodings of no channels, and the only expert for each protein."""
        only = torch.ones_like(proteins.scale)[:, None]
        encoding = Encoding(code=only[:, :0])
        first = torch.zeros_like(only)
        return encoding, Gates(experts=first.long(), weights=only, logits=first)


ROUTERS: dict[str, type[Router | NoRouter]] = {**dict.fromkeys(ENCODERS, Router), "none": NoRouter}
"""By router.backbone."""


_COORDINATES = 3  # alone they lose no direction


@torch.no_grad()
def _preserve_variance(module: nn.Module) -> None:
    """He initialisation for ordinary linear layers, without biases, and blind to what all inputs share.

    torch's default shrinks what differs between points at every layer and adds the same random bias to all of them.
    Even without, activations are positive in the mean whatever the protein, and maxima over neighbours are more so:
    random weights turn that into a part that all codes share, and at every layer it grows. Weights that sum to zero
    over their inputs do not see it. Otherwise all proteins would begin with almost one code, and the gate would have
    nothing to tell apart.
    """
    if isinstance(module, nn.Linear):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.in_features > _COORDINATES:
            module.weight -= module.weight.mean(1, keepdim=True)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
