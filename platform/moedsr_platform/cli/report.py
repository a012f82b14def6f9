"""`moedsr report`: tables and figures from the tracked runs alone."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from moedsr.errors import InputError
from moedsr_platform.tables import Table, number

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from moedsr_platform.routing_report import Routing

CSV = click.option("--csv", "csv_file", type=click.Path(path_type=Path), help="Also write the table as CSV.")


@click.group()
def report() -> None:
    """Tables and figures of a sweep, from its MLflow runs alone.

    SWEEP is a sweep's name, id or run id; without it, the latest sweep.
    """


@report.command()
@click.argument("sweep", required=False)
@CSV
def sweep(sweep: str | None, csv_file: Path | None) -> None:
    """Every trial with its parameters and scores, best first, beside the baselines."""
    from moedsr_platform.sweep_results import find_sweep, sweep_table
    from moedsr_platform.tracking import connect

    client = connect(create=False)
    _give(sweep_table(client, find_sweep(client, sweep)), csv_file)


@report.command()
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

    RUN is a trial's run id, or a sweep, which stands for its best trial. The second table tests whether experts
    specialise: by sequence, size, secondary structure and, with --annotations, by whatever is known of the proteins.
    p-values come from random reassignments of the proteins. All of it is kept with the run, under routing/.
    """
    from moedsr_platform.routing_annotations import annotate
    from moedsr_platform.specialisation_table import specialisation_table
    from moedsr_platform.terminal import show
    from moedsr_platform.tracking import connect

    client = connect(create=False)
    trial = _trial(client, run)
    routing = _routing(client, trial)
    if annotations is not None:
        routing = annotate(routing, annotations, columns)
    statistics = routing.statistics()
    if png_file is not None:
        from moedsr.routing_pictures import write_expert_map

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


def _give(table: Table, csv_file: Path | None) -> None:
    from moedsr_platform.terminal import show

    if csv_file is not None:
        csv_file.parent.mkdir(parents=True, exist_ok=True)
        csv_file.write_text(table.csv(), encoding="utf-8")
    show(table)


def _trial(client: "MlflowClient", reference: str | None) -> "Run":
    """A trial's run, from its run id or through its sweep."""
    from mlflow.exceptions import MlflowException

    from moedsr_platform.sweep_results import find_sweep, trials_of
    from moedsr_platform.tracking import BEST_TAG, TRIAL_TAG

    if reference:
        try:
            run = client.get_run(reference)
        except MlflowException:
            run = None
        if run is not None and TRIAL_TAG in run.data.tags:
            return run
    chosen = find_sweep(client, reference)
    best = chosen.data.tags.get(BEST_TAG)
    if best:
        return client.get_run(best)
    trials = trials_of(client, chosen)
    if not trials:
        raise InputError(f"sweep {chosen.info.run_name} has no trial yet")
    return trials[0]


def _routing(client: "MlflowClient", trial: "Run") -> "Routing":
    from moedsr_platform.model_reference import CHECKPOINT
    from moedsr_platform.routing_report import Routing

    path = f"{CHECKPOINT}/routing.json"
    if path not in [file.path for file in client.list_artifacts(trial.info.run_id, CHECKPOINT)]:
        raise InputError(
            f"run {trial.info.run_id} ({trial.info.run_name}) has no routing table: it was never validated"
        )
    with tempfile.TemporaryDirectory() as folder:
        return Routing.load(Path(client.download_artifacts(trial.info.run_id, path, folder)))
