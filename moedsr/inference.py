"""The trained field of one protein, and surfaces from a PDB file."""

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from moedsr.batch import ProteinBatch
from moedsr.checkpoint import Meta, load_model
from moedsr.config import Config
from moedsr.data.conformation import InitialConformation, SurfaceFrame
from moedsr.data.protein_input import ProteinInput, collate
from moedsr.data.structure import load_structure
from moedsr.data.topologies import stem
from moedsr.errors import InputError
from moedsr.expert_territory import Territory, expert_territory
from moedsr.geometry.level_set import extract_level_set
from moedsr.geometry.mesh import Mesh
from moedsr.latent_fit import fit_code
from moedsr.models.gate import Gates
from moedsr.models.moedsr import MoEDSR

RESOLUTIONS = (16, 1024)
"""Fewest and most grid nodes per axis of a surface."""


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


@dataclass(frozen=True)
class PredictedSurface:
    """One predicted surface in the PDB file's own coordinates."""

    time: float
    mesh: Mesh  # Å
    touches_border: bool  # whether the surface reached the cube of prediction and was closed there
    territory: Territory | None = None  # what each expert says of it, where asked for


class SurfacePredictor:
    """Surfaces of any protein from its PDB, mmCIF or GRO file."""

    def __init__(self, model: MoEDSR, meta: Meta) -> None:
        self.model = model
        self.meta = meta

    @property
    def config(self) -> Config:
        return self.model.config

    @classmethod
    def load(cls, checkpoint: Path, device: str = "auto") -> Self:
        """From a checkpoint directory.

        Raises:
            InputError: not a checkpoint, or one that does not fit this software.
        """
        return cls(*load_model(checkpoint, resolve_device(device)))

    def predict(
        self,
        pdb: Path,
        times: Sequence[float],
        *,
        chain: str | None = None,
        resolution: int = 128,
        territories: bool = False,
    ) -> Iterator[PredictedSurface]:
        """One surface a time, in the order of the times, each as it is ready.

        Args:
            pdb: a PDB, mmCIF or GRO file, the initial conformation P0.
            times: in [-1, 1], P0 at -1.
            chain: chain identifier (several as `A,B`), needed when the file holds several.
            resolution: nodes per axis of the extraction grid.
            territories: whether each expert is asked about each surface, too.

        Raises:
            InputError: unreadable file, no protein, several chains without a choice, a time outside [-1, 1], a grid too
                coarse to hold a surface or too fine to compute.
        """
        _check(times, resolution)
        initial = InitialConformation.of(load_structure(pdb, chain), self.config.data.prepare, stem(pdb))
        protein = ProteinInput.of(initial, self.config)
        field = protein_field(self.model, protein, initial.frame)
        for time in times:
            level_set = extract_level_set(field.at(time), resolution=resolution)
            centred = level_set.mesh.moved(scale=initial.scale)
            yield PredictedSurface(
                time=time,
                mesh=centred.moved(shift=initial.centre),
                touches_border=level_set.touches_border,
                territory=expert_territory(field, centred, time, scale=initial.scale) if territories else None,
            )


def _check(times: Sequence[float], resolution: int) -> None:
    if len(times) == 0:
        raise InputError("no time is given, but at least one is needed, within [-1, 1]")
    outside = [time for time in times if not -1 <= time <= 1]
    if outside:
        raise InputError(f"time {outside[0]:g} is outside [-1, 1], the span that a model knows")
    least, most = RESOLUTIONS
    if not least <= resolution <= most:
        raise InputError(f"resolution is {resolution}, but must be from {least} to {most} grid nodes per axis")


def resolve_device(device: str) -> torch.device:
    """``auto`` is the GPU when there is one."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device)
