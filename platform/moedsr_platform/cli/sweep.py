"""`moedsr sweep FILE`."""

import os
from pathlib import Path

import click

from moedsr_platform.sweep_file.loading import load_sweep
from moedsr_platform.sweep_file.schema import SweepFile

FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.argument("file", type=FILE)
@click.option("--resume", is_flag=True, help="Go on with the latest unfinished sweep of this name, else the latest.")
@click.option("--resume-unfinished", is_flag=True, help="The same where it is unfinished and has these settings.")
@click.option("--dry-run", is_flag=True, help="Check the file, say what it would need, and stop.")
@click.option("--name", help="Name of the sweep instead of the file's.")
@click.option("--results", type=FOLDER, help="Folder of results. [default: $MOEDSR_HOME or ./results]")
@click.option("--address", help="Ray cluster. [default: $RAY_ADDRESS, else this machine]")
def sweep(
    file: Path,
    resume: bool,
    resume_unfinished: bool,
    dry_run: bool,
    name: str | None,
    results: Path | None,
    address: str | None,
) -> None:
    """Search hyperparameters with Ray Tune and Optuna, as FILE says; every trial is an MLflow run.

    \b
    moedsr sweep sweeps/quickstart.yaml
    moedsr sweep sweeps/quickstart.yaml --resume      after an interruption
    moedsr sweep sweeps/paper_table2.yaml --dry-run   what would it need?
    """
    goes_on = resume or (None if resume_unfinished else False)
    start("sweep", load_sweep(file), file, goes_on, dry_run=dry_run, name=name, results=results, address=address)


def start(
    command: str,
    found: SweepFile,
    file: Path,
    resume: bool | None,
    *,
    dry_run: bool,
    name: str | None,
    results: Path | None,
    address: str | None,
) -> None:
    """What `sweep` and `train` share; ``resume`` None goes on with what is unfinished, and begins where nothing is."""
    if name is not None:
        found = found.renamed(name)
    if results is not None:
        os.environ["MOEDSR_HOME"] = str(results.absolute())
    from moedsr_platform.sweep.file_references import check_data_of, check_variants
    from moedsr_platform.sweep.request import Request
    from moedsr_platform.sweep.sweep import run_sweep

    check_variants(found, file)
    if dry_run:
        from moedsr_platform.sweep.dry_run import describe

        click.echo(describe(found, address))
        return
    check_data_of(found, file)
    given = {"--name": name, "--results": results, "--address": address}
    flags = tuple(str(word) for flag, value in given.items() if value is not None for word in (flag, value))
    if resume is None:
        from moedsr_platform.sweep.folder import unfinished

        resume = unfinished(found) is not None
    run_sweep(Request(sweep=found, file=file, command=command, resume=resume, address=address, flags=flags))
