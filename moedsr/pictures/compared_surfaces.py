"""The true and the predicted surface of frames of one stored protein, and what each expert says of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from moedsr.geometry.level_set import extract_level_set
from moedsr.geometry.mesh import Mesh
from moedsr.inference.expert_territory import Territory, expert_territory
from moedsr.inference.protein_field import ProteinField
from moedsr.pictures.surface_player import View
from moedsr.pictures.surface_views import by_error, by_nearest_expert
from moedsr.store.protein_file import StoredProtein

_RESOLUTION = 64


@dataclass(frozen=True)
class ComparedFrame:
    """One frame; surfaces in the PDB's own coordinates, Å."""

    frame: int
    time: float
    truth: Mesh
    prediction: Mesh
    territory: Territory  # of the true surface


def compare(field: ProteinField, protein: StoredProtein, frame: int, truth: Mesh) -> ComparedFrame:
    """Predict a frame and put it beside the truth.

    Args:
        field: of the protein.
        protein: as stored.
        frame: its number.
        truth: its true surface, Å about the centre of P0.
    """
    time = float(protein.times[frame])
    predicted = extract_level_set(field.at(time), resolution=_RESOLUTION).mesh
    return ComparedFrame(
        frame=frame,
        time=time,
        truth=truth.moved(shift=protein.centre),
        prediction=predicted.moved(scale=protein.scale, shift=protein.centre),
        territory=expert_territory(field, truth, time, scale=protein.scale),
    )


def comparing_views(frames: Sequence[ComparedFrame]) -> list[View]:
    """The prediction by its error, the truth by how far it is missed, and the truth by the expert that is right."""
    truths, predictions = [one.truth for one in frames], [one.prediction for one in frames]
    return [
        by_error("prediction, by its error", predictions, truths, other="the truth"),
        by_error("truth, by how far it is missed", truths, predictions, other="the prediction"),
        by_nearest_expert("truth, by the expert that is right", truths, [one.territory for one in frames]),
    ]
