"""`moedsr report`: tables and figures from the tracked runs alone."""

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from moedsr.errors import InputError
from moedsr_platform.cli import InOrder
from moedsr_platform.display.tables import Table, number

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from moedsr_platform.tracking.routing_report import Routing

CSV = click.option("--csv", "csv_file", type=click.Path(path_type=Path), help="Also write the table as CSV.")
PNG = click.option("--png", "png_file", type=click.Path(path_type=Path), help="Also draw it.")


@click.group(cls=InOrder)
def report() -> None:
    """Tables and figures of a sweep, from its MLflow runs alone.

    SWEEP is a sweep's name, id or run id; without it, the latest sweep.
    """


@report.command(short_help="All trials with their scores, best first.")
@click.argument("sweep", required=False)
@CSV
def sweep(sweep: str | None, csv_file: Path | None) -> None:
    """Every trial with its parameters and scores, best first, beside the baselines; seeds also as mean ± std."""
    from moedsr_platform.display.terminal import show
    from moedsr_platform.reports.sweep_results import find_sweep, point_table, sweep_table
    from moedsr_platform.tracking.client import connect

    client = connect(create=False)
    found = find_sweep(client, sweep)
    _give(sweep_table(client, found), csv_file)
    if (points := point_table(client, found)) is not None:
        show(points)


@report.command(short_help="Which expert serves which protein, and what sets them apart.")
@click.argument("run", required=False)
@CSV
@click.option("--png", "png_file", type=click.Path(path_type=Path), help="Also draw the expert-by-protein heat map.")
@click.option(
    "--annotations",
    type=click.Path(path_type=Path),
    help="What else is known of the proteins: a table (TSV, CSV) with an id in its first column, such as ATLAS's.",
)
@click.option("--column", "columns", multiple=True, help="Only this column of it; may be repeated.")
def experts(
    run: str | None, csv_file: Path | None, png_file: Path | None, annotations: Path | None, columns: tuple[str, ...]
) -> None:
    """Which expert serves which protein, and what sets the experts' proteins apart.

    RUN is a trial's run id, the name of what `moedsr train` made, or a sweep, which stands for its best trial. The
    second table tests whether experts specialise: by sequence, size, secondary structure and, with --annotations, by
    whatever is known of the proteins. p-values come from random reassignments of the proteins. All of it is kept with
    the run, under routing/.
    """
    from moedsr_platform.display.terminal import show
    from moedsr_platform.reports.routing_annotations import annotate
    from moedsr_platform.reports.specialisation_table import specialisation_table
    from moedsr_platform.tracking.client import connect

    client = connect(create=False)
    trial = _trial(client, run)
    routing = _routing(client, trial)
    if annotations is not None:
        routing = annotate(routing, annotations, columns)
    statistics = routing.statistics()
    if png_file is not None:
        from moedsr.pictures.routing import write_expert_map

        write_expert_map(png_file, names=routing.names, gates=routing.gates)
    heads = ("protein", "split", "expert", *(f"gate {expert}" for expert in range(statistics["experts"])))
    rows = tuple(
        (name, split, str(int(gates.argmax())), *(number(float(gate), 2) for gate in gates))
        for name, split, gates in zip(routing.names, routing.splits, routing.gates, strict=True)
    )
    note = (
        f"Load of the busiest expert {statistics['max_load']:.2f} (even: {1 / statistics['experts']:.2f}); "
        f"{statistics['effective_experts']:.1f} of {statistics['experts']} experts in effective use, "
        f"{statistics['experts_per_protein']:.1f} for one protein; "
        f"specialisation {statistics['specialisation']:.2f} "
        "(0: all proteins share one mixture, 1: each has an expert of its own)."
    )
    _give(Table(f"Experts of {trial.info.run_name}, step {routing.step}", heads, rows, note), csv_file)
    show(specialisation_table(routing))
    with tempfile.TemporaryDirectory() as folder:
        routing.write_specialisation(Path(folder))
        client.log_artifacts(trial.info.run_id, folder, "routing")


@report.command(short_help="Table 1: methods on proteins never seen.")
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option("--split", type=click.Choice(["train", "val", "test"]), default="test", show_default=True)
@CSV
@PNG
def table1(models: tuple[str, ...], split: str, csv_file: Path | None, png_file: Path | None) -> None:
    """Methods on proteins never seen (Table 1), each protein by itself, then all.

    MODEL is a run id, a registered model, or a sweep, which stands for its best trial; without any, the latest
    sweep. Runs that differ in their seed alone are one method. What is shown comes from `moedsr evaluate`.
    """
    from moedsr_platform.reports.paper_tables import methods_picture, methods_table
    from moedsr_platform.tracking.client import connect
    from moedsr_platform.tracking.evaluation_record import EvaluationRecord

    client = connect(create=False)
    runs = [_model_run(client, model) for model in models] or [_trial(client, None)]
    records = [(run, EvaluationRecord.load(client, run, split)) for run in runs]
    table = methods_table(records, split)
    if png_file is not None:
        methods_picture(png_file, table)
    _give(table, csv_file)


@report.command(short_help="Table 3: the proteins of each expert.")
@click.argument("run", required=False)
@CSV
def table3(run: str | None, csv_file: Path | None) -> None:
    """The proteins of each expert, and how alike their sequences are (Table 3).

    RUN is a trial's run id, the name of what `moedsr train` made, or a sweep, which stands for its best trial. Identity
    is that of global alignments over the shorter sequence; `moedsr report experts` tests other properties, too.
    """
    from moedsr_platform.reports.paper_tables import specialists_table
    from moedsr_platform.tracking.client import connect

    client = connect(create=False)
    _give(specialists_table(_routing(client, _trial(client, run))), csv_file)


@report.command(short_help="Table 4: router backbones.")
@click.argument("sweep", required=False)
@CSV
@PNG
def table4(sweep: str | None, csv_file: Path | None, png_file: Path | None) -> None:
    """Router backbones beside each other (Table 4), of a sweep such as sweeps/ablations/router_backbone.yaml."""
    _by("router.backbone", "Router backbones", sweep, csv_file, png_file)


@report.command(short_help="Figure 3: the number of experts.")
@click.argument("sweep", required=False)
@CSV
@PNG
def figure3(sweep: str | None, csv_file: Path | None, png_file: Path | None) -> None:
    """Scores by the number of experts (Fig. 3), of a sweep such as sweeps/ablations/expert_count.yaml."""
    _by("expert.count", "Number of experts", sweep, csv_file, png_file)


@report.command(short_help="Scores by any key that was searched.")
@click.argument("key")
@click.argument("sweep", required=False)
@CSV
@PNG
def by(key: str, sweep: str | None, csv_file: Path | None, png_file: Path | None) -> None:
    """Scores of a sweep by the value of any KEY that it varied, such as expert.kind."""
    _by(key, f"Scores by {key}", sweep, csv_file, png_file)


def _by(key: str, title: str, sweep: str | None, csv_file: Path | None, png_file: Path | None) -> None:
    """Table and picture, both also kept with the sweep's run, under report/."""
    from moedsr_platform.reports.paper_tables import groups_picture, groups_table
    from moedsr_platform.reports.score_groups import group_scores
    from moedsr_platform.reports.sweep_results import find_sweep, trials_of
    from moedsr_platform.tracking.client import connect

    client = connect(create=False)
    chosen = find_sweep(client, sweep)
    groups = group_scores(trials_of(client, chosen), key)
    table = groups_table(f"{title}, sweep {chosen.info.run_name}", key, groups)
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / f"{key}.png"
        groups_picture(picture, table.title, groups)
        (Path(folder) / f"{key}.csv").write_text(table.csv(), encoding="utf-8")
        client.log_artifacts(chosen.info.run_id, folder, "report")
        if png_file is not None:
            png_file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(picture, png_file)
    _give(table, csv_file)


def _model_run(client: "MlflowClient", model: str) -> "Run":
    """A trial's run from anything that names a model or a sweep."""
    from moedsr_platform.tracking.model_reference import run_behind

    return (run_behind(client, model) if model.startswith("models:") else None) or _trial(client, model)


@report.command(short_help="Which searched keys mattered.")
@click.argument("sweep", required=False)
@CSV
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Folder of the pictures. [default: the results']"
)
def importance(sweep: str | None, csv_file: Path | None, out: Path | None) -> None:
    """Which of the searched keys mattered, all points at once, and how the best came about.

    Shares of variance by fANOVA, and pictures: importances, parallel coordinates, the history of the search and, with
    two objectives, the points that are not beaten in both. The pictures are kept with the sweep's run, under search/.
    """
    from moedsr_platform.reports.search_pictures import write_search_pictures
    from moedsr_platform.reports.search_report import SearchReport
    from moedsr_platform.reports.sweep_results import find_sweep
    from moedsr_platform.tracking.client import connect
    from moedsr_platform.tracking.run_names import SWEEP_TAG
    from moedsr_platform.tracking.store import results_folder

    client = connect(create=False)
    parent = find_sweep(client, sweep)
    found = SearchReport.of(client, parent)
    folder = out or results_folder() / "reports" / parent.data.tags.get(SWEEP_TAG, found.name)
    _give(found.table(), csv_file)
    for picture in write_search_pictures(found, folder):
        client.log_artifact(parent.info.run_id, str(picture), "search")
        click.echo(picture)


def _give(table: Table, csv_file: Path | None) -> None:
    from moedsr_platform.display.terminal import show

    if csv_file is not None:
        csv_file.parent.mkdir(parents=True, exist_ok=True)
        csv_file.write_text(table.csv(), encoding="utf-8")
    show(table)


def _trial(client: "MlflowClient", reference: str | None) -> "Run":
    """A trial's run, from its run id or through its sweep; or the run of `moedsr train`."""
    from mlflow.exceptions import MlflowException

    from moedsr_platform.reports.sweep_results import find_single, find_sweep, trials_of
    from moedsr_platform.tracking.run_names import BEST_TAG, TRIAL_TAG

    if reference:
        try:
            run = client.get_run(reference)
        except MlflowException:
            run = None
        if run is not None and TRIAL_TAG in run.data.tags:
            return run
    try:
        chosen = find_sweep(client, reference)
    except InputError:
        single = find_single(client, reference)
        if single is None:
            raise
        return single
    best = chosen.data.tags.get(BEST_TAG)
    if best:
        return client.get_run(best)
    trials = trials_of(client, chosen)
    if not trials:
        raise InputError(f"sweep {chosen.info.run_name} has no trial yet")
    return trials[0]


def _routing(client: "MlflowClient", trial: "Run") -> "Routing":
    from moedsr_platform.tracking.model_reference import CHECKPOINT
    from moedsr_platform.tracking.routing_report import Routing

    path = f"{CHECKPOINT}/routing.json"
    if path not in [file.path for file in client.list_artifacts(trial.info.run_id, CHECKPOINT)]:
        raise InputError(
            f"run {trial.info.run_id} ({trial.info.run_name}) has no routing table: it was never validated"
        )
    with tempfile.TemporaryDirectory() as folder:
        return Routing.load(Path(client.download_artifacts(trial.info.run_id, path, folder)))
