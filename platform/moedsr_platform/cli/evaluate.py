"""`moedsr evaluate`: a model beside the baselines."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from moedsr.errors import InputError

if TYPE_CHECKING:
    from moedsr_platform.tracking.evaluation_record import EvaluationRecord

ALONE = "baselines"
"""In place of a model: what needs no learning, by itself."""

SURFACE_SAMPLES = 20_000
"""Points on each surface for Chamfer and normals."""


@click.command()
@click.argument("model", metavar="MODEL|baselines")
@click.option("--store", type=click.Path(path_type=Path), help="Surface store; default: the one it was trained on.")
@click.option("--split", type=click.Choice(["train", "val", "test"]), default="test", show_default=True)
@click.option("--protein", "proteins", multiple=True, help="Only this one; may be repeated; default: all.")
@click.option("--frames", type=click.IntRange(1), help="Frames per protein, evenly spread; default: all.")
@click.option(
    "--stride", type=click.IntRange(1), default=1, show_default=True, help="Every n-th node of the metric grid."
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable, with a row for each protein.")
def evaluate(
    model: str,
    store: Path | None,
    split: str,
    proteins: tuple[str, ...],
    frames: int | None,
    stride: int,
    device: str,
    as_json: bool,
) -> None:
    """Score MODEL on a split: IoU, Chamfer, normal consistency, beside doing nothing and the best static
    surface. `baselines` in its place scores those alone, on --store.

    Scores of a whole split are kept with the run that made the model, for `moedsr report table1`.

    naive: the initial structure for every frame. random: another frame, drawn at random. smoothed: the initial
    structure, blurred by a width fitted on training proteins. oracle: the best static surface, which sees the frames
    themselves. zero-code, mean-code: a model whose latent code is fitted on the initial structure, without that fit.
    """
    from moedsr_platform.tracking.model_reference import resolve

    checkpoint = None if model == ALONE else resolve(model)
    if checkpoint is None and store is None:
        raise InputError("`moedsr evaluate baselines` needs --store STORE: no model names one")
    from moedsr.config import Config, DataConfig  # seconds long: only once the model is known to exist
    from moedsr.evaluation.evaluation import Evaluator
    from moedsr.inference.inference import SurfacePredictor
    from moedsr_platform.display.terminal import progress, show
    from moedsr_platform.reports.evaluation_store import names_of, open_store
    from moedsr_platform.reports.evaluation_table import evaluation_table
    from moedsr_platform.tracking.evaluation_record import EvaluationRecord

    surfaces = open_store(checkpoint, store)
    names = names_of(surfaces, split, proteins)
    predictor = None if checkpoint is None else SurfacePredictor.load(checkpoint, device=device)
    config = Config(data=DataConfig(store=store)) if predictor is None else predictor.config
    # training scores a few frames on a coarse grid to save time; here all count, on the whole grid
    settings = config.evaluation.model_copy(
        update={"split": split, "frames": frames, "grid_stride": stride, "surface_samples": SURFACE_SAMPLES}
    )
    config = config.model_copy(update={"evaluation": settings})
    evaluator = Evaluator(surfaces, names, config, smoothed=True, unfitted=True)
    if predictor is None:
        result = evaluator.baselines()
    else:
        with progress("frames", sum(len(evaluator.truth(name).frames) for name in names)) as advance:
            result = evaluator.evaluate(
                predictor.model,
                predictor.meta.code_rows,
                progress=lambda name, done, total: advance(f"{name} {done}/{total}"),
            )
    if not proteins and predictor is not None:
        _keep(model, EvaluationRecord(
            split=split, store_fingerprint=surfaces.fingerprint, grid_stride=stride, evaluation=result
        ))  # fmt: skip
    if as_json:
        click.echo(result.to_json())
    else:
        what = ", ".join(proteins) or f"{split} split"
        show(evaluation_table(result, f"{model} on the {what} of {surfaces.path}"))
    seen = [] if predictor is None or split == "train" else sorted(set(names) & set(predictor.meta.proteins))
    if seen:
        click.echo(
            f"The model was trained on {len(seen)} of these {len(names)} proteins ({', '.join(seen[:5])}"
            f"{', …' if len(seen) > 5 else ''}): this says nothing of proteins that it has never met.",
            err=True,
        )


def _keep(model: str, record: "EvaluationRecord") -> None:
    """With the model's run; a checkpoint directory has none."""
    from moedsr_platform.tracking.client import connect
    from moedsr_platform.tracking.model_reference import run_behind

    if Path(model).is_dir():
        return
    client = connect(create=False)
    run = run_behind(client, model)
    if run is not None:
        record.log(client, run.info.run_id)
        click.echo(f"kept with run {run.info.run_name}; `moedsr report table1 {run.info.run_id}`", err=True)
