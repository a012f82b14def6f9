"""`moedsr data show`: a stored protein as a picture and as a page that plays its surface."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from moedsr.inference.protein_field import ProteinField
    from moedsr.store.store import StoredProtein


@click.command()
@click.argument("store")
@click.argument("protein")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=".", help="Folder. [default: here]")
@click.option("--frames", type=click.IntRange(1), default=50, show_default=True, help="Frames shown besides P0.")
@click.option("--model", help="Also show what this MODEL predicts, where it is wrong, and which expert is right.")
def show(store: str, protein: str, out: Path, frames: int, model: str | None) -> None:
    """Write PROTEIN.png and PROTEIN.html: the true surface over time, coloured by its distance to that of P0.

    The page needs no network: open it in any browser, drag to turn, press play; a menu chooses what is coloured.
    """
    from moedsr.pictures.stored_motion import write_motion
    from moedsr.store.store import SurfaceStore
    from moedsr_platform.display.terminal import progress

    opened = SurfaceStore.open(store)
    stored = opened.protein(protein)
    field = _field(model, stored) if model else None
    with progress(protein, 1 + min(frames, len(stored) - 1)) as advance:
        written = write_motion(stored, opened.settings, out, frames, field=field, progress=advance)
    for path in written:
        click.echo(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


def _field(model: str, protein: "StoredProtein") -> "ProteinField":
    from moedsr_platform.tracking.model_reference import resolve

    checkpoint = resolve(model)
    from moedsr.batches.protein_input import ProteinInput  # seconds long: only once the model is known to exist
    from moedsr.batches.training_frames import code_row
    from moedsr.inference.inference import SurfacePredictor
    from moedsr.inference.protein_field import protein_field

    predictor = SurfacePredictor.load(checkpoint)
    return protein_field(
        predictor.model,
        ProteinInput.of(protein, predictor.config),
        protein.frame(0),
        code_index=code_row(predictor.meta.code_rows, protein.name, 0),
    )
