"""The page of a sampled ensemble: the samples, their mean surface, and where that is uncertain."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from moedsr.geometry.mesh import Mesh
from moedsr.geometry.surface_distance import distance_to
from moedsr.inference.elastic_samples import CERTAIN, SurfaceStatistics
from moedsr.pictures.surface_player import View, write_player


def write_ensemble_page(path: Path, samples: Sequence[Mesh], statistics: SurfaceStatistics, title: str) -> None:
    """One HTML page that plays the samples, coloured by how much the surface fluctuates there.

    Args:
        path: the page.
        samples: one surface each, Å.
        statistics: of all of them.
        title: above.
    """
    count = len(samples)
    mean, inner, outer = (statistics.mesh(share) for share in (0.5, CERTAIN, 1 - CERTAIN))
    fluctuation = statistics.rmsf(mean.vertices)

    def still(name: str, mesh: Mesh, values: np.ndarray, note: str) -> View:
        return View(name=name, meshes=[mesh] * count, values=[values] * count, note=note)

    views = [
        View(
            name="samples, by RMSF",
            meshes=samples,
            values=[statistics.rmsf(mesh.vertices) for mesh in samples],
            note="Å, RMSF of the surface",
        ),
        still("mean surface, by RMSF", mean, fluctuation, "Å, RMSF of the surface"),
        still(
            f"outside of it: less than {1 - CERTAIN:.0%} of the samples",
            outer,
            distance_to(inner)(outer.vertices),
            "Å wide is the uncertain region",
        ),
        still(
            f"inside of it: at least {CERTAIN:.0%} of the samples",
            inner,
            distance_to(outer)(inner.vertices),
            "Å wide is the uncertain region",
        ),
    ]
    write_player(path, views, labels=[f"sample {number} of {count}" for number in range(1, count + 1)], title=title)
