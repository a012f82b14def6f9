"""Samples of a protein's ensemble of surfaces from its structure alone, by an elastic network: no model is needed."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from moedsr.config import PrepareConfig
from moedsr.errors import InputError
from moedsr.geometry.elastic_network import MEAN_SQUARE_DISPLACEMENT, ElasticNetwork
from moedsr.geometry.fill import FillSum, fill_of, mesh_of
from moedsr.geometry.mesh import Mesh
from moedsr.geometry.surface import SolventExcludedSurface
from moedsr.store.conformation import InitialConformation, conformation_surface
from moedsr.structures.structure import Structure, load_structure

SAMPLES = (2, 1000)
"""Fewest and most."""

CERTAIN = 0.95
"""Share of the samples that are inside what counts as certainly inside; outside, one less this share at most."""

_AT_ONCE = 20
_FARTHEST = 3.0  # Å at which distances are truncated before their spread is taken


class SurfaceStatistics:
    """What samples of a surface have in common: their mean, and where it is uncertain; meshes in the file's place, Å.

    Sums over the samples on a grid are all that is kept.

    Args:
        initial: of which the samples are.
        nodes: of the grid, per axis.
    """

    def __init__(self, initial: InitialConformation, nodes: int) -> None:
        self._initial, self._nodes = initial, nodes
        self._spacing = 2 * initial.scale / (nodes - 1)
        self._fills: FillSum | None = None
        self._total, self._squares = (np.zeros((nodes,) * 3, dtype=np.float32) for _ in range(2))

    def add(self, surface: SolventExcludedSurface) -> None:
        """One sample's, about the structure's centre."""
        level = surface.on_metric_grid(np.zeros(3), self._initial.scale, self._nodes)
        own = FillSum.of([fill_of(level, self._spacing)])
        self._fills = own if self._fills is None else self._fills.plus(own)
        distance = np.clip(level, -_FARTHEST, _FARTHEST)
        self._total += distance
        self._squares += distance**2

    def mesh(self, share: float = 0.5) -> Mesh:
        """The surface inside which at least this share of the samples is; of a half, their mean surface."""
        assert self._fills is not None, "no sample yet"
        mesh = mesh_of(self._fills.where(share), 2 / (self._nodes - 1))
        return mesh.moved(scale=self._initial.scale, shift=self._initial.centre)

    def rmsf(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """(P,) Å, how much the surface fluctuates near points (P, 3): the spread of their signed distances to it.

        Distances are truncated at 3 Å, and read from the grid.
        """
        assert self._fills is not None, "no sample yet"
        count = self._fills.count
        variance = np.maximum(self._squares - self._total**2 / count, 0) / (count - 1)
        places = (np.asarray(points) - self._initial.centre + self._initial.scale) / self._spacing
        return map_coordinates(np.sqrt(variance), places.T, order=1, mode="nearest").astype(np.float64)


@dataclass(frozen=True)
class ElasticEnsemble:
    """Conformations about one structure, and their surfaces in the file's coordinates."""

    initial: InitialConformation
    network: ElasticNetwork
    settings: PrepareConfig

    @classmethod
    def of(
        cls,
        path: Path,
        *,
        chain: str | None = None,
        mean_square_displacement: float = MEAN_SQUARE_DISPLACEMENT,
        settings: PrepareConfig | None = None,
    ) -> Self:
        """From a structure file.

        Args:
            path: a PDB, mmCIF or GRO file.
            chain: as load_structure takes it.
            mean_square_displacement: Å², of heavy atoms from where the file has them.
            settings: of surfaces.

        Raises:
            InputError: unreadable file, no protein, several chains without a choice, a network that falls apart.
        """
        settings = settings or PrepareConfig()
        structure = load_structure(path, chain)
        network = ElasticNetwork.of(
            structure.positions,
            structure.elements,
            structure.residue_of_atom,
            structure.ca_index,
            mean_square_displacement=mean_square_displacement,
            where=str(path),
        )
        return cls(InitialConformation.of(structure, settings, "P0"), network, settings)

    @property
    def structure(self) -> Structure:
        return self.initial.structure

    def conformations(self, samples: int, seed: int = 0) -> Iterator[NDArray[np.float64]]:
        """Atoms (N, 3) in the file's coordinates, one sample after the other.

        Raises:
            InputError: too few or too many samples.
        """
        least, most = SAMPLES
        if not least <= samples <= most:
            raise InputError(f"{samples} samples are wanted, but must be from {least} to {most}")
        drawn = self.network.draw(samples, seed)
        for start in range(0, samples, _AT_ONCE):
            yield from self.network.sample(drawn[start : start + _AT_ONCE])

    def surface(self, atoms: NDArray[np.float64]) -> SolventExcludedSurface:
        """Of one conformation, about the structure's centre."""
        return conformation_surface((atoms - self.initial.centre).astype(np.float32), self.structure, self.settings)

    def mesh(self, surface: SolventExcludedSurface) -> Mesh:
        """Of such a surface, in the file's coordinates."""
        return surface.mesh().moved(shift=self.initial.centre)
