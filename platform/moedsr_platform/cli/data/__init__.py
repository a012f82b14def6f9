"""`moedsr data`: ensembles and surface stores; one file a command."""

import click

from moedsr_platform.cli.data.check import check
from moedsr_platform.cli.data.fetch import fetch
from moedsr_platform.cli.data.prepare import prepare
from moedsr_platform.cli.data.show import show
from moedsr_platform.cli.data.simulate import simulate
from moedsr_platform.cli.data.split import split


@click.group()
def data() -> None:
    """Ensembles and surface stores: fetch, simulate, prepare, split, check, show."""


for command in (fetch, simulate, prepare, split, check, show):
    data.add_command(command)
