"""`moedsr train FILE`."""

from pathlib import Path

import click

from moedsr_platform.cli.sweep import FILE, FOLDER, start
from moedsr_platform.sweep_file.loading import load_run


@click.command()
@click.argument("file", type=FILE)
@click.option("--resume", is_flag=True, help="Go on with the latest unfinished run of this name, else the latest.")
@click.option("--dry-run", is_flag=True, help="Check the file, say what it would need, and stop.")
@click.option("--name", help="Name of the run instead of the file's.")
@click.option("--results", type=FOLDER, help="Folder of results. [default: $MOEDSR_HOME or ./results]")
@click.option("--address", help="Ray cluster. [default: $RAY_ADDRESS, else this machine]")
def train(file: Path, resume: bool, dry_run: bool, name: str | None, results: Path | None, address: str | None) -> None:
    """Train one model with the configuration in FILE; one MLflow run.

    \b
    moedsr train sweeps/runs/one_protein_p0.yaml
    """
    start("train", load_run(file), file, resume, dry_run=dry_run, name=name, results=results, address=address)
