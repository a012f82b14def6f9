"""A trained model as a predictor: one surface at each frame's time."""

from collections.abc import Callable, Hashable, Iterable

from moedsr.evaluation.predictor import Predictor
from moedsr.evaluation.scored_surface import LevelSurface, Surface
from moedsr.evaluation.target import Target
from moedsr.geometry.level_set import values_on_metric_grid
from moedsr.inference.protein_field import ProteinField


class ModelPredictor(Predictor):
    """The zero level set of a field.

    Args:
        name: of its row.
        field_of: the field, its latent code settled, for a frame of a protein by name.
    """

    moves = True

    def __init__(self, name: str, field_of: Callable[[str, int], ProteinField]) -> None:
        self.name = name
        self._field_of = field_of

    def shared(self, target: Target, frame: int) -> Hashable:
        field = self._field_of(target.protein.name, frame)
        return id(field), float(target.protein.times[frame])

    def surfaces(self, target: Target, frame: int) -> Iterable[Surface]:
        grid, time = target.grid, float(target.protein.times[frame])
        field = self._field_of(target.protein.name, frame)
        return [LevelSurface(values_on_metric_grid(field.at(time), grid.nodes, grid.stride) * grid.scale)]
