"""What a stored protein does: its surfaces as a picture and as a page that plays them, and its figures."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from moedsr.batches.training_frames import spread
from moedsr.config import PrepareConfig
from moedsr.files import make_folder
from moedsr.geometry.mesh import Mesh
from moedsr.geometry.occupancy import iou
from moedsr.geometry.surface import solvent_excluded_surface
from moedsr.store.store import StoredProtein
from moedsr.structures.radii import bondi_radii

if TYPE_CHECKING:
    from moedsr.inference.protein_field import ProteinField

_SPACING = 1.0  # Å; fine enough to look at, a fourth of the triangles of 0.5 Å
_PICTURED = 5


@dataclass(frozen=True)
class Motion:
    """How far a protein moves from P0; means over its frames, NaN where there are none."""

    rmsd: float  # Å, of the Cα
    largest_rmsd: float  # Å
    naive_iou: float  # of P0 with each frame, on the metric grid


def motion_of(protein: StoredProtein) -> Motion:
    """Reads every frame's atoms and occupancy, one at a time."""
    later = range(1, len(protein))
    initial = protein.residue_positions
    if not later:
        return Motion(float("nan"), float("nan"), float("nan"))
    rmsd = [float(np.sqrt(((protein.frame_residues(i) - initial) ** 2).sum(-1).mean())) for i in later]
    naive = [iou(protein.occupancy(0), protein.occupancy(i)) for i in later]
    return Motion(float(np.mean(rmsd)), max(rmsd), float(np.mean(naive)))


def stored_surface(protein: StoredProtein, frame: int, settings: PrepareConfig) -> Mesh:
    """The true surface of one frame (Å about the centre of P0), coarse enough to be looked at."""
    surface = solvent_excluded_surface(
        protein.frame_atoms(frame),
        bondi_radii(protein.elements),
        probe_radius=settings.probe_radius,
        spacing=max(settings.grid_spacing, _SPACING),
        keep_cavities=settings.keep_cavities,
    )
    return surface.mesh()


def write_motion(
    protein: StoredProtein,
    settings: PrepareConfig,
    folder: Path,
    frames: int,
    *,
    field: "ProteinField | None" = None,
    progress: Callable[[str], None] = lambda label: None,
) -> tuple[Path, Path]:
    """``<name>.png`` and ``<name>.html``: the true surface, coloured by the distance to P0's surface.

    Args:
        protein: of a store with these settings.
        settings: how the store was prepared.
        folder: receives both files; made when missing.
        frames: shown besides P0, evenly spread.
        field: of a model for this protein; picture and page then compare it with the truth.
        progress: called with the label of each frame that is ready.
    """
    # half a second of matplotlib, which reading a store's figures should not wait for
    from moedsr.pictures.compared_surfaces import compare, comparing_views
    from moedsr.pictures.surface_player import write_player
    from moedsr.pictures.surface_views import by_motion
    from moedsr.pictures.surfaces import write_moving, write_overview

    make_folder(folder)
    title = f"{protein.name} ({protein.split or 'no'} split), {len(protein.sequence)} residues"
    picture, page = folder / f"{protein.name}.png", folder / f"{protein.name}.html"
    chosen = [0, *spread(range(1, len(protein)), frames)]
    meshes, compared = [], []
    for frame in chosen:
        centred = stored_surface(protein, frame, settings)
        meshes.append(centred.moved(shift=protein.centre))
        if field is not None:
            compared.append(compare(field, protein, frame, centred))
        progress(_label(protein, frame))
    pictured = [0, *spread(range(1, len(chosen)), _PICTURED - 1)]
    times = [float(protein.times[chosen[place]]) for place in pictured]
    views = [by_motion("truth, by its motion", meshes, meshes[0], since="the surface of P0")]
    if compared:
        shown = [compared[place] for place in pictured]
        truths, predictions = [one.truth for one in shown], [one.prediction for one in shown]
        write_overview(picture, times=times, truths=truths, predictions=predictions, title=title)
        views = [*comparing_views(compared), *views]
    else:
        write_moving(picture, times=times, meshes=[meshes[place] for place in pictured], title=title)
    write_player(page, views, labels=[_label(protein, frame) for frame in chosen], title=title)
    return picture, page


def _label(protein: StoredProtein, frame: int) -> str:
    replica = f"replica {protein.replicas[frame]}" if frame else "P0"
    return f"t = {protein.times[frame]:+.3f}, {replica}, frame {frame}"
