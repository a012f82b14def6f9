"""The trained field of one protein."""

from collections.abc import Callable
from copy import copy
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from moedsr.batches.batch import ProteinBatch
from moedsr.batches.protein_input import ProteinInput, collate
from moedsr.inference.latent_fit import fit_code
from moedsr.models.moedsr import MoEDSR
from moedsr.models.router.gate import Gates
from moedsr.store.conformation import SurfaceFrame


class ProteinField:
    """f(x, t) of one protein at numpy points; the router has run, the latent code is settled.

    Args:
        model: in evaluation mode.
        proteins: a batch of one, on the model's device.
        codes: (1, φ_z), or None for the code of the table (zero for a protein without one).
    """

    @torch.no_grad()
    def __init__(self, model: MoEDSR, proteins: ProteinBatch, codes: Tensor | None = None) -> None:
        self.model = model
        self.context = model.context(proteins, codes=codes)

    @torch.no_grad()
    def __call__(self, points: NDArray[np.floating], time: float) -> NDArray[np.float32]:
        """Signed distance (P,) at points (P, 3), both normalised about the centre of P0."""
        device = self.context.codes.device
        x = torch.from_numpy(np.asarray(points, dtype=np.float32)).to(device)
        value, _ = self.model.field(x[None, None], torch.tensor([[time]], device=device), self.context, gradient=False)
        result: NDArray[np.float32] = value[0, 0].cpu().numpy()
        return result

    def with_gates(self, gates: Gates) -> "ProteinField":
        """The same field mixed by other gates, such as one expert alone."""
        other = copy(self)
        other.context = replace(self.context, gates=gates)
        return other

    def at(self, time: float) -> Callable[[NDArray[np.floating]], NDArray[np.float32]]:
        """The field of one instant."""
        return lambda points: self(points, time)


UnseenCode = Literal["fit", "zero", "mean"]
"""As evaluation.unseen_code."""


def can_fit_code(model: MoEDSR) -> bool:
    """Whether there is a latent code that P0 can say something of."""
    return model.config.expert.latent_size > 0 and model.experts.reads_code_at_start


def protein_field(
    model: MoEDSR,
    protein: ProteinInput,
    initial_frame: SurfaceFrame,
    *,
    code_index: int = -1,
    unseen_code: UnseenCode | None = None,
) -> ProteinField:
    """The field of a protein, its latent code taken from the table or settled as ``evaluation.unseen_code`` says.

    Args:
        model: in evaluation mode.
        protein: what the model is given.
        initial_frame: surface samples of P0, on which an unseen protein's code is fitted.
        code_index: row of the code table, -1 for a protein not trained on.
        unseen_code: in place of ``evaluation.unseen_code``.
    """
    proteins = collate([protein], [code_index]).to(next(model.parameters()).device)
    wanted = unseen_code or model.config.evaluation.unseen_code
    codes = None
    if code_index < 0 and wanted == "fit" and can_fit_code(model):
        codes = fit_code(model, proteins, initial_frame)
    elif code_index < 0 and wanted == "mean":
        codes = model.codes.mean()
    return ProteinField(model, proteins, codes)
