"""What a stored protein does: its true surfaces as a picture and as a page that plays them, and its figures."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from moedsr.baselines import naive_ious
from moedsr.config import PrepareConfig
from moedsr.data.store import StoredProtein
from moedsr.data.training_frames import spread
from moedsr.files import make_folder
from moedsr.geometry.mesh import Mesh
from moedsr.geometry.radii import bondi_radii
from moedsr.geometry.surface import solvent_excluded_surface

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
    naive = [float(naive_ious(protein.occupancy(0), [protein.occupancy(i)])[0]) for i in later]
    return Motion(float(np.mean(rmsd)), max(rmsd), float(np.mean(naive)))


def stored_surface(protein: StoredProtein, frame: int, settings: PrepareConfig) -> Mesh:
    """The true surface of one frame in the PDB's own coordinates (Å), coarse enough to be looked at."""
    surface = solvent_excluded_surface(
        protein.frame_atoms(frame),
        bondi_radii(protein.elements),
        probe_radius=settings.probe_radius,
        spacing=max(settings.grid_spacing, _SPACING),
        keep_cavities=settings.keep_cavities,
    )
    return surface.mesh().moved(shift=protein.centre)


def write_motion(protein: StoredProtein, settings: PrepareConfig, folder: Path, frames: int) -> tuple[Path, Path]:
    """``<name>.png`` and ``<name>.html``, coloured by the distance to P0's surface.

    Args:
        protein: of a store with these settings.
        settings: how the store was prepared.
        folder: receives both files; made when missing.
        frames: shown besides P0, evenly spread.
    """
    # half a second of matplotlib, which reading a store's figures should not wait for
    from moedsr.pictures import write_moving
    from moedsr.surface_player import PlayedFrame, write_player

    make_folder(folder)
    chosen = [0, *spread(range(1, len(protein)), frames)]
    meshes = [stored_surface(protein, frame, settings) for frame in chosen]
    nearest = cKDTree(meshes[0].vertices)
    played = [
        PlayedFrame(mesh, _label(protein, frame), np.asarray(nearest.query(mesh.vertices)[0]))
        for frame, mesh in zip(chosen, meshes, strict=True)
    ]
    title = f"{protein.name} ({protein.split or 'no'} split), {len(protein.sequence)} residues"
    picture, page = folder / f"{protein.name}.png", folder / f"{protein.name}.html"
    pictured = [0, *spread(range(1, len(chosen)), _PICTURED - 1)]
    times = [float(protein.times[chosen[place]]) for place in pictured]
    write_moving(picture, times=times, meshes=[meshes[place] for place in pictured], title=title)
    write_player(page, played, title=title, values="from the surface of P0")
    return picture, page


def _label(protein: StoredProtein, frame: int) -> str:
    replica = f"replica {protein.replicas[frame]}" if frame else "P0"
    return f"t = {protein.times[frame]:+.3f}, {replica}, frame {frame}"
