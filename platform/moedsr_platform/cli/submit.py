"""`moedsr submit FILE --address URL`."""

from pathlib import Path

import click

from moedsr_platform.cli.sweep import FILE, FOLDER
from moedsr_platform.sweep_file.loading import load_sweep


@click.command()
@click.argument("file", type=FILE)
@click.option("--address", required=True, help="The cluster's job address, such as http://127.0.0.1:8265.")
@click.option("--working-dir", type=FOLDER, default=Path(), help="The checkout to send. [default: .]")
@click.option("--resume", is_flag=True, help="Go on with the latest sweep of this name, also with a finished one.")
@click.option("--new", is_flag=True, help="Begin a new sweep even where one of this name is unfinished.")
def submit(file: Path, address: str, working_dir: Path, resume: bool, new: bool) -> None:
    """Run the sweep in FILE as a job on a Ray cluster, and follow its log.

    Ctrl-C, or closing the laptop, ends the following alone: the job goes on. An unfinished sweep of the same name and
    settings goes on where it was. A driver that is killed is started again.

    \b
    ray start --head
    moedsr submit sweeps/quickstart.yaml --address http://127.0.0.1:8265
    """
    from moedsr_platform.cluster.jobs import submit as submit_job

    load_sweep(file)  # what is wrong with the file is said here, not in a job's log
    arguments = ("--resume",) if resume else () if new else ("--resume-unfinished",)
    submit_job(file, working_dir.absolute(), address, arguments, lambda text: click.echo(text, nl=False))
