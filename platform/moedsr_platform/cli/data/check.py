"""`moedsr data check`: is a surface store sound, and how far do its proteins move?"""

from typing import TYPE_CHECKING

import click

from moedsr_platform.display.tables import Table

if TYPE_CHECKING:
    from moedsr.store.store import SurfaceStore

COLUMNS = ("protein", "split", "residues", "atoms", "hydrogens", "frames", "MB", "RMSD Å", "largest Å", "naive IoU")
NOTE = (
    "RMSD: of the C-alphas to P0, superposed, mean over frames, and the largest. Naive IoU: of P0's surface with every "
    "frame, what doing nothing scores. Hydrogens: 0 says that the structure has none."
)


@click.command()
@click.argument("store")
def check(store: str) -> None:
    """Verify every tensor and checksum of STORE; print each protein's size and how far it moves."""
    from moedsr.store.store import check_store
    from moedsr_platform.display.terminal import show

    checked = check_store(store)
    show(sizes_and_motion(checked))
    size = sum(entry.size for entry in checked.entries.values())
    click.echo(f"{store}: {len(checked.names())} proteins are sound, {size / 1e6:.1f} MB")


def sizes_and_motion(store: "SurfaceStore") -> Table:
    """One row a protein."""
    from moedsr.pictures.stored_motion import motion_of

    rows = []
    for name in store.names():
        entry, protein = store.entries[name], store.protein(name)
        motion = motion_of(protein)
        sizes = (entry.residues, entry.atoms, protein.elements.count("H"), entry.frames)
        moved = (f"{motion.rmsd:.2f}", f"{motion.largest_rmsd:.2f}", f"{motion.naive_iou:.3f}")
        rows.append((name, entry.split or "-", *(str(size) for size in sizes), f"{entry.size / 1e6:.1f}", *moved))
    return Table("Surface store", COLUMNS, tuple(rows), NOTE)
