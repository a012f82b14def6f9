"""One weight tensor for the same layer of all experts."""

import torch
from torch import Tensor, nn


class StackedLinear(nn.Module):
    """Linear layers of all experts, weights (N_E, out, in) and biases (N_E, out).

    One parameter a layer, whatever the number of experts: the optimiser has few tensors, every parameter takes part
    in every step (data parallelism needs no search for unused ones), and an expert's weights are a view.
    """

    def __init__(self, experts: int, inputs: int, outputs: int, *, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(experts, outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(experts, outputs)) if bias else None

    def per_expert(self) -> list[tuple[Tensor, Tensor | None]]:
        """(weight, bias) of each expert.

        Unbound all at once: the backward pass then writes the stack once instead of once an expert.
        """
        weights = self.weight.unbind(0)
        biases = [None] * len(weights) if self.bias is None else list(self.bias.unbind(0))
        return list(zip(weights, biases, strict=True))
