"""`moedsr data`: ensembles and surface stores; one file a command."""

import click

from moedsr_platform.cli import InOrder
from moedsr_platform.cli.data.check import check
from moedsr_platform.cli.data.fetch import fetch
from moedsr_platform.cli.data.prepare import prepare
from moedsr_platform.cli.data.show import show
from moedsr_platform.cli.data.simulate import simulate
from moedsr_platform.cli.data.split import split


@click.group(cls=InOrder)
def data() -> None:
    """Ensembles and surface stores."""


for command, summary in (
    (fetch, "Entries of the ATLAS database."),
    (simulate, "A short ensemble of any single protein."),
    (prepare, "Trajectories to a surface store."),
    (split, "Train, val and test, no two proteins alike."),
    (check, "Is a store sound, and how do its proteins move?"),
    (show, "One protein as a picture and as a page that plays it."),
):
    command.short_help = summary
    data.add_command(command)
