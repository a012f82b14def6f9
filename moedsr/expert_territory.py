"""Which of a protein's experts is right where on its surface."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

from moedsr.geometry.mesh import Mesh
from moedsr.inference import ProteinField
from moedsr.routing_pictures import EXPERT_COLOURS


@dataclass(frozen=True)
class Territory:
    """Where each expert wins: its own field alone puts the surface nearest to where it truly is.

    K experts that the gate chose for the protein, V vertices of the true surface.
    """

    experts: tuple[int, ...]  # strongest gate first
    gates: tuple[float, ...]  # of those
    distances: NDArray[np.float32]  # (K, V) |E_k|, Å: how far that expert alone would miss the true surface

    @property
    def winner(self) -> NDArray[np.int64]:
        """(V,) the number of the expert that wins at each vertex; the stronger gate wins a tie."""
        return np.array(self.experts)[self.distances.argmin(0)]

    @property
    def shares(self) -> tuple[float, ...]:
        """Of the vertices, for each expert."""
        return tuple(float((self.winner == expert).mean()) for expert in self.experts)

    @property
    def colours(self) -> NDArray[np.float64]:
        """(V, 3) the winner's colour, 0 to 1."""
        return np.array([to_rgb(colour_of(expert)) for expert in range(max(self.experts) + 1)])[self.winner]


def colour_of(expert: int) -> str:
    """The same in every picture."""
    return EXPERT_COLOURS[expert % len(EXPERT_COLOURS)]


@torch.no_grad()
def expert_territory(field: ProteinField, truth: Mesh, time: float, *, scale: float) -> Territory:
    """Every chosen expert by itself at the true surface.

    Args:
        field: of one protein.
        truth: the true surface at that time, Å about the centre of P0.
        time: in [-1, 1].
        scale: Å per normalised unit.
    """
    gates = field.context.gates
    alone = []
    for expert in gates.experts[0].tolist():
        only = replace(
            gates,
            experts=torch.full_like(gates.experts[:, :1], expert),
            weights=torch.ones_like(gates.weights[:, :1]),
        )
        alone.append(field.with_gates(only)(truth.vertices / scale, time))
    return Territory(
        experts=tuple(gates.experts[0].tolist()),
        gates=tuple(gates.weights[0].tolist()),
        distances=(np.abs(np.stack(alone)) * scale).astype(np.float32),
    )
