"""`moedsr evaluate`: a model beside the baselines."""

import json
from pathlib import Path

import click


@click.command()
@click.argument("model")
@click.option(
    "--store", type=click.Path(path_type=Path), help="Surface store; default: the one it was trained on."
)
@click.option("--split", type=click.Choice(["train", "val", "test"]), default="test", show_default=True)
@click.option("--protein", "proteins", multiple=True, help="Only this one; may be repeated; default: all.")
@click.option("--frames", type=click.IntRange(1), help="Frames per protein, evenly spread; default: all.")
@click.option(
    "--stride", type=click.IntRange(1), help="Every n-th node of the metric grid; default: as trained."
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable, with a row for each protein.")
def evaluate(
    model: str,
    store: Path | None,
    split: str,
    proteins: tuple[str, ...],
    frames: int | None,
    stride: int | None,
    device: str,
    as_json: bool,
) -> None:
    """Score MODEL on a split: IoU, Chamfer, normal consistency, beside doing nothing and the best static
    surface.

    naive: the initial structure for every frame. smoothed: the same, blurred by a width fitted on training
    proteins. oracle: the best static surface, which sees the frames themselves.
    """
    from moedsr_platform.model_reference import resolve

    checkpoint = resolve(model)
    from moedsr.evaluation import evaluate as score  # seconds long: only once the model is known to exist
    from moedsr.inference import SurfacePredictor
    from moedsr_platform.evaluation_store import names_of, open_store

    predictor = SurfacePredictor.load(checkpoint, device=device)
    surfaces = open_store(checkpoint, store)
    names = names_of(surfaces, split, proteins)
    changes = {"split": split, "frames": frames, "grid_stride": stride}
    settings = predictor.config.evaluation.model_copy(
        update={key: value for key, value in changes.items() if value is not None}
    )
    click.echo(f"{model} on {', '.join(names)} ({split}) of {surfaces.path}", err=True)
    result = score(predictor, surfaces, names, settings)
    if as_json:
        data = result.to_json()
        click.echo(data if isinstance(data, str) else json.dumps(data, indent=2))
    else:
        click.echo(result.table())
