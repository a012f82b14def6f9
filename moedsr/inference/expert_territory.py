"""Which of a protein's experts is right where on its surface, and where they disagree."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from moedsr.geometry.mesh import Mesh
from moedsr.inference.expert_colours import colour_of
from moedsr.inference.protein_field import ProteinField


@dataclass(frozen=True)
class Territory:
    """What every expert says by itself at the vertices of a surface.

    K experts that the gate chose for the protein, V vertices.
    """

    experts: tuple[int, ...]  # strongest gate first
    gates: tuple[float, ...]  # of those
    signed: NDArray[np.float32]  # (K, V) E_k, Å: how far outside that expert's own surface the vertex lies

    @property
    def nearest(self) -> NDArray[np.int64]:
        """(V,) place in ``experts`` of the one whose own surface is nearest; the stronger gate wins a tie.

        On the true surface this is the expert that is right; on the mixture's own, with two experts, it is always the
        one with the stronger gate.
        """
        return np.abs(self.signed).argmin(0)

    @property
    def outermost(self) -> NDArray[np.int64]:
        """(V,) place in ``experts`` of the one whose own surface reaches furthest out: it makes the protein bulge."""
        return self.signed.argmin(0)

    @property
    def disagreement(self) -> NDArray[np.float64]:
        """(V,) Å, standard deviation of E_k over the experts, weighted by their gates."""
        gates = np.array(self.gates)[:, None]
        signed = self.signed.astype(np.float64)
        return np.sqrt((gates * (signed - (gates * signed).sum(0)) ** 2).sum(0))

    @property
    def shares(self) -> tuple[float, ...]:
        """Of the vertices, those that each expert is nearest to."""
        return tuple(float((self.nearest == place).mean()) for place in range(len(self.experts)))

    @property
    def colours(self) -> NDArray[np.uint8]:
        """(V, 3) red, green and blue of the nearest expert."""
        table = [bytes.fromhex(colour_of(expert)[1:]) for expert in self.experts]
        return np.array([list(colour) for colour in table], dtype=np.uint8)[self.nearest]


@torch.no_grad()
def expert_territory(field: ProteinField, surface: Mesh, time: float, *, scale: float) -> Territory:
    """Every chosen expert by itself at a surface.

    Args:
        field: of one protein.
        surface: at that time, Å about the centre of P0.
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
        alone.append(field.with_gates(only)(surface.vertices / scale, time))
    return Territory(
        experts=tuple(gates.experts[0].tolist()),
        gates=tuple(gates.weights[0].tolist()),
        signed=(np.stack(alone) * scale).astype(np.float32),
    )
