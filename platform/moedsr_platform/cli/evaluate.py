"""`moedsr evaluate`: a model beside the baselines."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from moedsr.errors import InputError
from moedsr.evaluation.scores import BASELINES

if TYPE_CHECKING:
    from moedsr.evaluation.baselines import BaselineSettings
    from moedsr.evaluation.evaluation import Evaluator
    from moedsr.evaluation.scores import Evaluation
    from moedsr.store.store import SurfaceStore
    from moedsr.training.checkpoint import Meta
    from moedsr_platform.tracking.evaluation_record import EvaluationRecord

ALONE = "baselines"
"""In place of a model: what needs no learning, by itself."""

SURFACE_SAMPLES = 10_000
"""Most points on each surface for Chamfer and normals."""


@click.command()
@click.argument("model", metavar="MODEL|baselines")
@click.argument("place", metavar="[STORE]", required=False, type=click.Path(path_type=Path))
@click.option("--store", type=click.Path(path_type=Path), help="Surface store; default: the one it was trained on.")
@click.option("--split", type=click.Choice(["train", "val", "test"]), help="[default: test, or all without splits]")
@click.option("--protein", "proteins", multiple=True, help="Only this one; may be repeated; default: all.")
@click.option("--frames", type=click.IntRange(1), help="Frames per protein, evenly spread; default: all.")
@click.option(
    "--stride", type=click.IntRange(1), default=1, show_default=True, help="Every n-th node of the metric grid."
)
@click.option("--samples", type=int, default=32, show_default=True, help="Surfaces of an ensemble.")
@click.option("--baseline", "chosen", multiple=True, help=f"Only this one of {', '.join(BASELINES)}; may be repeated.")
@click.option("--md", type=click.Path(path_type=Path), help="Simulate too: the folder of ID/ID.pdb to start from.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for scores.csv, scores.json and scores.png.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable: every frame and every protein.")
def evaluate(
    model: str,
    place: Path | None,
    store: Path | None,
    split: str | None,
    proteins: tuple[str, ...],
    frames: int | None,
    stride: int,
    samples: int,
    chosen: tuple[str, ...],
    md: Path | None,
    out: Path | None,
    device: str,
    as_json: bool,
) -> None:
    """Score MODEL on a split, beside the baselines: as one surface (IoU, Chamfer, normals) and as a description of the
    ensemble (energy score, Brier skill, CRPS, fluctuations). `baselines` in its place scores those alone, on STORE.

    Scores of a whole split are kept with the run that made the model, for `moedsr report table1`.

    naive: the initial structure for every frame. smoothed: the same, blurred. random: another frame. jitter: every
    atom displaced by itself. elastic: samples of an elastic network of the initial structure. md (with --md): a short
    simulation. replica: the frames of one other replica. oracle: the best static surface. ensemble: all other frames;
    oracle and ensemble, which see the frames, leave out the replica of the scored one, or the frame itself where
    there is one replica. zero-code, mean-code: a model whose latent code is fitted on the initial structure, without
    that fit.

    \b
    moedsr evaluate models:/moe-dsr@champion --split test
    moedsr evaluate baselines STORE --out scores
    """
    from moedsr_platform.tracking.model_reference import resolve

    if place is not None and store is not None:
        raise InputError(f"two stores are given, {place} and --store {store}; name one")
    store = place or store
    wanted = _wanted(chosen, md)
    if samples < 2:
        raise InputError(f"--samples is {samples}, but an energy score needs at least 2")
    if out is not None and out.exists() and not out.is_dir():
        raise InputError(f"--out {out} is a file, but must be a folder")
    checkpoint = None if model == ALONE else resolve(model)
    if checkpoint is None and store is None:
        raise InputError("`moedsr evaluate baselines` needs a store: `moedsr evaluate baselines STORE`")
    from moedsr.config import Config, DataConfig  # seconds long: only once the model is known to exist
    from moedsr.evaluation.evaluation import Evaluator
    from moedsr.inference.inference import SurfacePredictor
    from moedsr_platform.display.terminal import progress, show
    from moedsr_platform.reports.evaluation_store import names_of, open_store
    from moedsr_platform.reports.evaluation_table import ensemble_table, surface_table
    from moedsr_platform.tracking.evaluation_record import EvaluationRecord

    surfaces = open_store(checkpoint, store)
    if split is None and not any(entry.split for entry in surfaces.entries.values()):
        names, what = names_of(surfaces, None, proteins), "proteins"
    else:
        names, what = names_of(surfaces, split or "test", proteins), f"{split or 'test'} split"
    predictor = None if checkpoint is None else SurfacePredictor.load(checkpoint, device=device)
    config = Config(data=DataConfig(store=store)) if predictor is None else predictor.config
    # training scores a few frames on a coarse grid to save time; here all count, on the whole grid
    evaluation = config.evaluation.model_copy(
        update={"split": split or "test", "frames": frames, "grid_stride": stride, "surface_samples": SURFACE_SAMPLES}
    )
    config = config.model_copy(update={"evaluation": evaluation})
    settings = _settings(surfaces, samples, md, None if predictor is None else predictor.meta)
    evaluator = Evaluator(surfaces, names, config, baselines=wanted, settings=settings, unfitted=True)
    for name in names:
        _require_ensemble(evaluator, name)
    with progress("scores", len(names) * (len(wanted) + (predictor is not None))) as advance:

        def told(name: str, by: str) -> None:
            advance(f"{name} {by}")

        if predictor is None:
            result = evaluator.baselines(progress=told)
        else:
            result = evaluator.evaluate(predictor.model, predictor.meta.code_rows, progress=told)
    if not proteins and predictor is not None and split is not None:
        _keep(model, EvaluationRecord(
            split=split, store_fingerprint=surfaces.fingerprint, grid_stride=stride, evaluation=result
        ))  # fmt: skip
    if out is not None:
        _write(result, out, f"{model} on the {what} of {surfaces.path.name}")
    if as_json:
        click.echo(result.to_json())
    else:
        title = f"{model} on the {', '.join(proteins) or what} of {surfaces.path}"
        show(surface_table(result, f"{title}: as one surface", _about_p0(surfaces, names)))
        note = f"Smoothing width and amplitudes: {settings.calibration.describe()}."
        show(ensemble_table(result, f"{title}: as an ensemble", note))
    seen = [] if predictor is None or split == "train" else sorted(set(names) & set(predictor.meta.proteins))
    if seen:
        click.echo(
            f"The model was trained on {len(seen)} of these {len(names)} proteins ({', '.join(seen[:5])}"
            f"{', …' if len(seen) > 5 else ''}): this says nothing of proteins that it has never met.",
            err=True,
        )


def _wanted(chosen: Sequence[str], md: Path | None) -> list[str]:
    """Names of the baselines to score; skills and the gap need three of them."""
    from moedsr.config_file import did_you_mean

    for name in chosen:
        if name not in BASELINES:
            raise InputError(f"no baseline {name!r}{did_you_mean(name, BASELINES)}; there are: {', '.join(BASELINES)}")
    if "md" in chosen and md is None:
        raise InputError("the baseline md needs --md FOLDER, which holds ID/ID.pdb of each protein")
    if md is not None and not md.is_dir():
        raise InputError(f"--md {md}: no such folder; it must hold ID/ID.pdb of each protein")
    wanted = {*chosen, "naive", "oracle", "ensemble"} if chosen else set(BASELINES)
    return [name for name in BASELINES if name in wanted and (name != "md" or md is not None)]


def _settings(store: "SurfaceStore", samples: int, md: Path | None, meta: "Meta | None") -> "BaselineSettings":
    """Baselines fitted on the training proteins, where they are in this store; without any on its other proteins."""
    from moedsr.evaluation.baselines import BaselineSettings
    from moedsr.evaluation.calibration import Calibration
    from moedsr.files import cache_folder

    known = store.names("train") or store.names() if meta is None else [n for n in meta.proteins if n in store.entries]
    return BaselineSettings(
        samples=samples,
        calibration=Calibration(store, known, None if meta is None else meta.baselines),
        structures=md,
        simulations=None if md is None else cache_folder() / "simulations" / store.fingerprint,
    )


def _require_ensemble(evaluator: "Evaluator", name: str) -> None:
    frames = len(evaluator.target(name).frames)
    if frames < 3 and evaluator.config.evaluation.scope == "later":
        raise InputError(
            f"{evaluator.store.path}: {name} has {frames} {'frame' if frames == 1 else 'frames'} besides P0, "
            "but an ensemble to score needs at least 3"
        )


def _about_p0(store: "SurfaceStore", names: Sequence[str]) -> str:
    """What P0 is: a draw of the dynamics like the frames, or not."""
    drawn = sum(store.protein(name).initial_is_frame for name in names)
    return f"P0 is the first frame of its trajectory in {drawn} of {len(names)}, else a structure of its own."


def _write(result: "Evaluation", out: Path, title: str) -> None:
    from moedsr.files import make_folder, written_whole
    from moedsr.pictures.scores import write_evaluation

    make_folder(out)
    for name, text in (("scores.csv", result.to_csv()), ("scores.json", result.to_json())):
        with written_whole(out / name) as aside:
            aside.write_text(text, encoding="utf-8")
    write_evaluation(out / "scores.png", result, title)
    click.echo(f"{out}: scores.csv, scores.json, scores.png", err=True)


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
