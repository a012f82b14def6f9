"""`moedsr data check`: is a surface store sound?"""

from pathlib import Path

import click


@click.command()
@click.argument("store", type=click.Path(path_type=Path, file_okay=False))
def check(store: Path) -> None:
    """Verify every tensor and checksum of STORE."""
    from moedsr.data.store import check_store

    checked = check_store(store)
    for name in checked.names():
        protein = checked.protein(name)
        size = f"{len(protein.times)} frames, {len(protein.sequence)} residues"
        click.echo(f"{name}: {protein.split or 'no split'}, {size}")
    click.echo(f"{store}: {len(checked.names())} proteins are sound")
