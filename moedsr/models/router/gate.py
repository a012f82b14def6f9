"""Noisy top-k gate (Eq. 5)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from moedsr.config import GateConfig


@dataclass(frozen=True, kw_only=True)
class Gates:
    """Which experts compute for each protein, and with what weight."""

    experts: Tensor  # (B, K) int64, strongest first
    weights: Tensor  # (B, K) positive, rows sum to one
    logits: Tensor  # (B, N_E), noise included

    @property
    def dense(self) -> Tensor:
        """(B, N_E): the weights, zero for the experts not chosen."""
        return torch.zeros_like(self.logits).scatter(1, self.experts, self.weights)


class NoisyTopKGate(nn.Module):
    """Softmax over the k largest of W_g h + ε · Softplus(W_noise h)."""

    def __init__(self, config: GateConfig, *, features: int, experts: int) -> None:
        super().__init__()
        self.top_k = config.top_k
        self.minimum_noise = config.minimum_noise
        self.logits = nn.Linear(features, experts, bias=False)
        self.noise = nn.Linear(features, experts, bias=False)
        # routing starts as pure noise, so that every expert is tried; exact zeros would tie without noise
        nn.init.normal_(self.logits.weight, std=1e-3)
        nn.init.zeros_(self.noise.weight)

    def forward(self, code: Tensor, noise: Tensor | None = None) -> Gates:
        """Route proteins.

        Args:
            code: (B, φ_P) protein code.
            noise: (B, N_E) standard normal while training, None for a deterministic decision.
        """
        logits = self.logits(code)
        if noise is not None:
            logits = logits + noise * (nn.functional.softplus(self.noise(code)) + self.minimum_noise)
        # the softmax of Eq. 5 with -∞ for the losers, without the infinities
        top, experts = logits.topk(self.top_k, dim=-1)
        return Gates(experts=experts, weights=top.softmax(-1), logits=logits)
