"""An elastic network of P0, as wide as the ensembles of other proteins: nothing is trained."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from moedsr.evaluation.baselines._base import BaselineSettings
from moedsr.evaluation.predictor import Predictor
from moedsr.evaluation.scored_surface import Surface
from moedsr.evaluation.target import Target
from moedsr.geometry.elastic_network import ElasticNetwork

_CONFORMATIONS = 500  # whose Cα are compared with those of the frames
_AT_ONCE = 20


class Elastic(Predictor):
    name = "elastic"

    def __init__(self, settings: BaselineSettings) -> None:
        self._samples, self._calibration = settings.samples, settings.calibration
        self._last: tuple[str, ElasticNetwork] | None = None

    def surfaces(self, target: Target, frame: int) -> Iterator[Surface]:
        network = self._network(target)
        drawn = network.draw(self._samples, seed=0)
        for start in range(0, len(drawn), _AT_ONCE):
            for atoms in network.sample(drawn[start : start + _AT_ONCE]):
                yield target.conformation(atoms)

    def conformations(self, target: Target) -> NDArray[np.floating]:
        network = self._network(target)
        ca = target.protein.ca_index
        coordinates = network.coordinates(network.draw(_CONFORMATIONS, seed=0))
        # to first order, which directions of motion need no more than
        return target.protein.residue_positions + np.einsum("rxc,src->srx", network.residues.jacobian[ca], coordinates)

    def _network(self, target: Target) -> ElasticNetwork:
        protein = target.protein
        if self._last is None or self._last[0] != protein.name:
            network = ElasticNetwork.of(
                protein.atom_positions,
                protein.elements,
                protein.residue_of_atom,
                protein.ca_index,
                mean_square_displacement=self._calibration.mean_square(protein.name),
                where=protein.name,
            )
            self._last = (protein.name, network)
        return self._last[1]
