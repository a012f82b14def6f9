"""Points near P0's surface at which the store knows whether a frame is inside."""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from moedsr.geometry.occupancy import iou
from moedsr.store.protein_file import StoredProtein

_BAND = 3.0  # Å from P0's surface on either side
_MOST_NODES = 50_000  # of one protein: enough to learn from, and 6 kB a frame
_SURVEY = 20  # frames from which it is judged what a protein has to gain
_SMALLEST_UNIT = 1e-3  # of the points: a protein that does not move would get an endless weight


class OccupancyPoints:
    """Nodes of one protein's metric grid within 3 Å of P0's surface.

    Args:
        protein: in the store.
        frames: those that may be drawn, from which costs are taken.
    """

    def __init__(self, protein: StoredProtein, frames: list[int]) -> None:
        self._protein = protein
        self._frames = frames
        self._held: dict[int, NDArray[np.uint8]] = {}

    def draw(
        self, frame: int, count: int, random: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Points (count, 3), normalised, and whether the frame is inside there (count,), 1 or 0."""
        chosen = random.integers(len(self._nodes), size=count)
        place = np.stack(np.unravel_index(self._nodes[chosen], (self._side,) * 3), axis=1)
        return (place * (2 / (self._side - 1)) - 1).astype(np.float32), self._inside(frame)[chosen].astype(np.float32)

    @cached_property
    def inside_cost(self) -> np.float32:
        """What a point costs that is wrongly inside, where one wrongly outside costs 1: P0's mean IoU."""
        initial = self._protein.occupancy(0)
        return np.float32(np.mean([iou(initial, self._protein.occupancy(frame)) for frame in self._survey]))

    @cached_property
    def unit(self) -> np.float32:
        """What P0 costs per node more than the best static surface."""
        often = np.mean([self._inside(frame) for frame in self._survey], axis=0)
        as_inside, as_outside = self.inside_cost * (1 - often), often
        gain = np.where(self._inside(0), as_inside, as_outside) - np.minimum(as_inside, as_outside)
        return np.float32(max(float(gain.mean()), _SMALLEST_UNIT))

    @property
    def _survey(self) -> list[int]:
        later = [frame for frame in self._frames if frame > 0] or self._frames
        return later[:: max(1, len(later) // _SURVEY)]

    @cached_property
    def _nodes(self) -> NDArray[np.int32]:
        inside = self._protein.occupancy(0)
        spacing = 2 * self._protein.scale / (len(inside) - 1)
        reach = max(_BAND / spacing, 1.0)
        near = ndimage.distance_transform_edt(inside) + ndimage.distance_transform_edt(~inside) <= reach + 0.5
        nodes = np.flatnonzero(near).astype(np.int32)
        if len(nodes) <= _MOST_NODES:
            return nodes
        return np.sort(np.random.default_rng(0).choice(nodes, _MOST_NODES, replace=False))

    @property
    def _side(self) -> int:
        return int(self._protein.metadata["occupancy_grid"])

    def _inside(self, frame: int) -> NDArray[np.bool_]:
        """Of every node; kept as bits, since a whole grid is slow to decode."""
        if frame not in self._held:
            self._held[frame] = np.packbits(self._protein.occupancy(frame).reshape(-1)[self._nodes])
        return np.unpackbits(self._held[frame], count=len(self._nodes)).astype(bool)
