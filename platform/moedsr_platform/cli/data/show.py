"""`moedsr data show`: a stored protein as a picture and as a page that plays its surface."""

from pathlib import Path

import click


@click.command()
@click.argument("store")
@click.argument("protein")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=".", help="Folder. [default: here]")
@click.option("--frames", type=click.IntRange(1), default=50, show_default=True, help="Frames shown besides P0.")
def show(store: str, protein: str, out: Path, frames: int) -> None:
    """Write PROTEIN.png and PROTEIN.html: the true surface over time, coloured by its distance to that of P0.

    The page needs no network: open it in any browser, drag to rotate, press play.
    """
    from moedsr.data.store import SurfaceStore
    from moedsr.stored_motion import write_motion

    opened = SurfaceStore.open(store)
    for path in write_motion(opened.protein(protein), opened.settings, out, frames):
        click.echo(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
