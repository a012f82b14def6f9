"""Surfaces of any protein from its structure file."""

import logging
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from moedsr.batches.protein_input import ProteinInput
from moedsr.config import Config
from moedsr.device import resolve_device
from moedsr.errors import InputError
from moedsr.geometry.level_set import extract_level_set
from moedsr.geometry.mesh import Mesh
from moedsr.inference.expert_territory import Territory, expert_territory
from moedsr.inference.protein_field import protein_field
from moedsr.models.moedsr import MoEDSR
from moedsr.store.conformation import InitialConformation
from moedsr.structures.structure import Structure, load_structure
from moedsr.training.checkpoint import Meta, load_model

logger = logging.getLogger(__name__)

_FEWEST_HYDROGENS = 0.5  # for each heavy atom; proteins have 0.9 to 1.1

SAMPLED_AS = "P0"
"""Seeds where a surface is sampled; one for all, or a structure's surfaces would depend on its file's name."""

RESOLUTIONS = (16, 1024)
"""Fewest and most grid nodes per axis of a surface."""


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
        structure = load_structure(pdb, chain)
        if self.config.data.prepare.hydrogens:
            warn_of_missing_hydrogens(structure)
        initial = InitialConformation.of(structure, self.config.data.prepare, SAMPLED_AS)
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


def warn_of_missing_hydrogens(structure: Structure) -> None:
    """A crystal structure has none or few, a simulation has one for each heavy atom."""
    hydrogens, atoms = structure.hydrogens, len(structure.elements)
    if hydrogens < _FEWEST_HYDROGENS * (atoms - hydrogens):
        logger.warning(
            "%s: has %s; if the model was trained on proteins with all of them, as simulations have, its surfaces are "
            "too tight; `pdbfixer %s --keep-heterogens=none --output=COMPLETE.pdb` adds them",
            structure.path.name,
            f"{hydrogens} hydrogens among {atoms} atoms" if hydrogens else "no hydrogens",
            shlex.quote(str(structure.path)),
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
