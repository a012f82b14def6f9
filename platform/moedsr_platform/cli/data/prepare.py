"""`moedsr data prepare`: ensembles to a surface store."""

import json
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from moedsr.config import PrepareConfig
from moedsr.config_file import YamlSource, explain
from moedsr.errors import InputError


@click.command()
@click.argument("source")
@click.option("--out", "store", required=True, help="The store: a folder, or a URL as s3://bucket/folder.")
@click.option("--settings", type=click.Path(path_type=Path, dir_okay=False), help="YAML file of settings.")
@click.option("--frames", type=int, help="Frames kept per protein.")
@click.option("--surface-points", type=int, help="Points on each frame's surface.")
@click.option("--chain", help="Protein chain taken, where a file has several; `A,B` takes both.")
@click.option("--ligand", multiple=True, help="Residue name of a ligand or ion taken too; may be repeated.")
@click.option("--keep-truncated", is_flag=True, help="Use the whole frames of a trajectory that was cut short.")
@click.option("--address", help="Ray cluster. [default: $RAY_ADDRESS, else this machine]")
def prepare(
    source: str,
    store: str,
    settings: Path | None,
    frames: int | None,
    surface_points: int | None,
    chain: str | None,
    ligand: tuple[str, ...],
    keep_truncated: bool,
    address: str | None,
) -> None:
    """Turn the trajectories of SOURCE into a surface store, in parallel.

    Can be called again after an interruption: finished proteins are kept.

    SOURCE is `mini-atlas` (bundled), a folder of ensembles, or its URL (s3://bucket/folder): ID/ID.pdb (or .cif,
    .gro, .psf) with ID/ID_R1.xtc (or .trr, .dcd, .nc, .h5, .pdb), ID/ID_R2.xtc, … Solvent, ions and ligands are left
    out.
    """
    from moedsr.store.prepare import start_store
    from moedsr.store.remote_folder import is_remote
    from moedsr.store.remote_store import find_remote_ensembles, start_remote_store
    from moedsr.structures.ensemble import find_ensembles
    from moedsr_platform.cluster.connection import connect
    from moedsr_platform.cluster.preparation import prepare_remote_store, prepare_store

    chosen = _settings(
        settings,
        frames=frames,
        surface_points=surface_points,
        chains=None if chain is None else chain.split(","),
        ligands=ligand or None,
        keep_truncated=keep_truncated or None,
    )
    # what is wrong with either place is said before a cluster starts
    if is_remote(source):
        find_remote_ensembles(source)
    else:
        find_ensembles(source, {})
    if is_remote(store):
        start_remote_store(store, chosen)
    else:
        start_store(Path(store), chosen)
    connect(address)
    if is_remote(store):
        count, fingerprint = prepare_remote_store(source, chosen, store, click.echo)
    else:
        made = prepare_store(source, chosen, Path(store), click.echo)
        count, fingerprint = len(made.names()), made.fingerprint
    click.echo(f"store {store}: {count} proteins, fingerprint {fingerprint}")


def _settings(file: Path | None, **options: Any) -> PrepareConfig:
    """Settings of a file (PrepareConfig's own keys) with the options that were given put in."""
    values = {} if file is None else YamlSource(file).build(PrepareConfig).model_dump(mode="json")
    given = {key: value for key, value in options.items() if value is not None}
    try:
        return PrepareConfig.model_validate_json(json.dumps(values | given))
    except ValidationError as error:
        raise InputError(explain(PrepareConfig, error.errors(include_url=False)[0])) from None
