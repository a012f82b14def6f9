"""The two numbers that baselines take from proteins other than the one that is scored."""

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from moedsr.geometry.elastic_network import MEAN_SQUARE_DISPLACEMENT
from moedsr.geometry.occupancy import iou, smoothed_distances
from moedsr.geometry.surface import solvent_excluded_surface
from moedsr.store.protein_file import StoredProtein
from moedsr.store.store import SurfaceStore
from moedsr.structures.radii import bondi_radii

SMOOTHING_WIDTHS = (0.0, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
"""Å, among which the width is fitted."""

SMOOTHING_WIDTH = 1.0
"""Å, where there is no protein to fit it on."""

_STRIDE = 2  # of the metric grid on which the width is fitted
_FRAMES = 8  # of each protein
_PROTEINS = 24  # most that are looked at


class Calibration:
    """Width of the smoothed baseline, and mean square displacement of atoms for jitter and elastic networks.

    Args:
        store: of the proteins to fit on; None: the numbers `kept`, or the defaults.
        proteins: to fit on; one that is scored is left out of its own fit.
        kept: numbers by name, fitted before.
    """

    def __init__(
        self,
        store: SurfaceStore | None = None,
        proteins: Sequence[str] = (),
        kept: Mapping[str, float] | None = None,
    ) -> None:
        self._store, self._kept = store, dict(kept or {})
        self._proteins = list(proteins)[:: max(1, -(-len(proteins) // _PROTEINS))] if store is not None else []

    def smoothing_width(self, scored: str | None = None) -> float:
        """Å: the best mean IoU over the frames, then over the proteins."""
        rows = [row for name, row in self._ious.items() if name != scored]
        if not rows:
            return self._kept.get("smoothing_width", SMOOTHING_WIDTH)
        return float(SMOOTHING_WIDTHS[int(np.mean(rows, axis=0).argmax())])

    def mean_square(self, scored: str | None = None) -> float:
        """Å², of heavy atoms from P0: the geometric mean over the proteins, of which a few move very much."""
        rows = [value for name, value in self._squares.items() if name != scored]
        if not rows:
            return self._kept.get("mean_square", MEAN_SQUARE_DISPLACEMENT)
        return float(np.exp(np.mean(np.log(rows))))

    def numbers(self) -> dict[str, float]:
        """What a model keeps for proteins scored elsewhere."""
        return {"smoothing_width": self.smoothing_width(), "mean_square": self.mean_square()}

    def describe(self) -> str:
        """Where the numbers come from, for a table's note."""
        if self._proteins:
            return f"fitted on {len(self._proteins)} proteins of this store, without the scored one"
        return "fitted where the model was trained" if self._kept else "defaults, for want of other proteins"

    @cached_property
    def _squares(self) -> dict[str, float]:
        found = {}
        for protein in self._each():
            heavy = np.array([element not in ("H", "D") for element in protein.elements])
            start = protein.frame_atoms(0)[heavy]
            squares = [np.square(protein.frame_atoms(i)[heavy] - start).sum(-1).mean() for i in range(1, len(protein))]
            found[protein.name] = max(float(np.mean(squares)), 1e-3)
        return found

    @cached_property
    def _ious(self) -> dict[str, list[float]]:
        """By protein the mean IoU of each width."""
        assert self._store is not None or not self._proteins
        found = {}
        for protein in self._each():
            settings = self._store.settings  # type: ignore[union-attr]
            surface = solvent_excluded_surface(
                protein.frame_atoms(0),
                bondi_radii(protein.elements),
                probe_radius=settings.probe_radius,
                spacing=settings.grid_spacing,
                keep_cavities=settings.keep_cavities,
            )
            distance = surface.on_metric_grid(np.zeros(3), protein.scale, settings.occupancy_grid, _STRIDE)
            spacing = _STRIDE * 2 * protein.scale / (settings.occupancy_grid - 1)
            later = range(1, len(protein))
            frames = [
                protein.occupancy(i)[::_STRIDE, ::_STRIDE, ::_STRIDE] for i in later[:: max(1, len(later) // _FRAMES)]
            ]
            blurred = [level < 0 for level in smoothed_distances(distance, spacing, SMOOTHING_WIDTHS)]
            found[protein.name] = [float(np.mean([iou(one, frame) for frame in frames])) for one in blurred]
        return found

    def _each(self) -> list[StoredProtein]:
        if self._store is None:
            return []
        opened = [self._store.protein(name) for name in self._proteins]
        return [protein for protein in opened if len(protein) > 1]
