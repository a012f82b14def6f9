"""`moedsr data`: ensembles and surface stores; one file a command."""

import click

from moedsr_platform.cli.data.check import check
from moedsr_platform.cli.data.prepare import prepare


@click.group()
def data() -> None:
    """Prepare and check surface stores."""


for command in (prepare, check):
    data.add_command(command)
