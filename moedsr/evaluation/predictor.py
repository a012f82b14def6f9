"""Whatever is scored: something that yields surfaces, one or many.

A deterministic model yields one surface a frame, an ensemble (elastic network, molecular dynamics, a model that
samples) many that are equally likely, the same for every frame. All are scored by ``moedsr.evaluation.scoring.score``:

    class Mine(Predictor):
        name = "mine"

        def surfaces(self, target, frame):
            for atoms in my_samples(target.protein, self.samples):
                yield target.conformation(atoms)          # or LevelSurface(level in Å on target.grid)

``shared`` says which frames have the same prediction, so that it is made once; ``conformations`` may give more Cα
positions than there are surfaces, which are what costs.
"""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable

import numpy as np
from numpy.typing import NDArray

from moedsr.evaluation.scored_surface import Surface
from moedsr.evaluation.target import Target


class Predictor(ABC):
    """Yields surfaces of a target; `name` is its row in every table."""

    name: str
    moves = False
    """Whether its single surfaces of different frames are a motion that it predicts, and not draws of the truth."""

    def fits(self, target: Target) -> bool:
        """Whether it can be asked about this target at all; where not, it has no row."""
        return True

    def shared(self, target: Target, frame: int) -> Hashable:
        """Frames of the same key have the same prediction; by default all have."""
        return None

    @abstractmethod
    def surfaces(self, target: Target, frame: int) -> Iterable[Surface]:
        """The prediction for a frame: one surface, or many that are equally likely."""

    def conformations(self, target: Target) -> NDArray[np.floating] | None:
        """(S, R, 3) Cα, Å about the centre of P0, superposed on it; default: those of the surfaces."""
        return None

    def seconds(self, target: Target) -> float | None:
        """CPU time that the prediction took where it was made before; default: what making it now takes."""
        return None
