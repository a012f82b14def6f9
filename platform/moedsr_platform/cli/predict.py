"""`moedsr predict`: surfaces of a structure over time, or samples of its ensemble."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from moedsr.errors import InputError
from moedsr_platform.display.tables import Table

if TYPE_CHECKING:
    from moedsr.geometry.mesh import Mesh
    from moedsr.inference.inference import PredictedSurface

ELASTIC = "elastic"
"""In place of a model: an elastic network of the structure."""

REMARKS = {
    "empty": "Empty: the model predicts no surface then; it may be trained too little, or on proteins unlike this one.",
    "cut at the border": "Cut at the border: the surface leaves the model's cube and is closed there.",
}


def parse_times(text: str) -> list[float]:
    """Instants from ``start:stop:count`` (both ends included) or ``t,t,…``.

    Raises:
        InputError: not of that form, outside [-1, 1], or no instant at all.
    """
    rule = "must be START:STOP:COUNT or a list such as -1,0,1, within [-1, 1]"
    try:
        if ":" in text:
            start, stop, count = text.split(":")
            times = _spread(float(start), float(stop), int(count))
        else:
            times = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise InputError(f"--times is {text!r}, but {rule}") from error
    outside = [time for time in times if not -1 <= time <= 1]
    if outside:
        raise InputError(f"--times {text!r}: {outside[0]:g} is outside [-1, 1], the time span that a model knows")
    if not times:
        raise InputError(f"--times {text!r} has no instant: {rule}")
    return times


def _spread(start: float, stop: float, count: int) -> list[float]:
    if count <= 1:
        return [start] * max(count, 0)
    # rounding keeps 0.1 from becoming 0.10000000000000009 in file names
    return [round(start + (stop - start) * index / (count - 1), 9) for index in range(count)]


@click.command()
@click.argument("model", metavar="MODEL|elastic")
@click.argument("pdb", type=click.Path(path_type=Path))
@click.option("--times", default="-1:1:5", show_default=True, help="START:STOP:COUNT or t,t,… within [-1, 1].")
@click.option("--samples", type=int, help="elastic: surfaces to draw. [default: 20]")
@click.option("--displacement", type=float, help="elastic: Å of atoms from P0, rms. [default: as in other proteins]")
@click.option("--seed", type=click.IntRange(0), help="elastic: other seeds give other samples. [default: 0]")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the meshes. [default: NAME_surfaces]")
@click.option("--format", "kind", type=click.Choice(["ply", "obj", "glb"]), default="ply", show_default=True)
@click.option("--html", "player", is_flag=True, help="Also write a page that plays the surfaces in any browser.")
@click.option("--chain", help="Which chain, where the file has several; `A,B` takes both.")
@click.option(
    "--resolution",
    type=click.IntRange(16, 1024),
    default=128,
    show_default=True,
    help="Grid nodes per axis; the grid is 2.5 radii wide.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda.")
@click.pass_context
def predict(
    context: click.Context,
    model: str,
    pdb: Path,
    times: str,
    samples: int | None,
    displacement: float | None,
    seed: int | None,
    out: Path | None,
    kind: str,
    player: bool,
    chain: str | None,
    resolution: int,
    device: str,
) -> None:
    """Predict the molecular surface of PDB (or an mmCIF or GRO file) over time with MODEL: one mesh a time, in the
    file's coordinates (Å). `elastic` in its place needs no model: samples of the protein's ensemble, from an elastic
    network of the structure, with a page that plays them.

    Time -1 is the structure itself; from there to 1 lie the trajectories that the model was trained on, one after
    another unless it was prepared otherwise. A structure needs its hydrogens where those of the training had them.

    \b
    moedsr predict models:/moe-dsr@champion FILE.pdb --times -1:1:5 --out surfaces
    moedsr predict elastic FILE.pdb --samples 20
    """
    instants = parse_times(times)
    _require_options(context, model)
    if not pdb.is_file():
        wrong = "is a folder, but must be a structure file" if pdb.is_dir() else "no such file"
        raise InputError(f"{pdb}: {wrong}")
    from moedsr.structures.topologies import stem
    from moedsr_platform.display.terminal import progress, show
    from moedsr_platform.tracking.model_reference import resolve

    name = stem(pdb)
    out = Path(f"{name}_surfaces") if out is None else out
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out} is a file, but must be a folder")
    if model == ELASTIC:
        _sample(pdb, name, out, kind, chain, resolution, samples, displacement, seed or 0)
        return
    checkpoint = resolve(model)
    from moedsr.inference.inference import SurfacePredictor  # seconds long: only once the input is known to be sound

    predictor = SurfacePredictor.load(checkpoint, device=device)
    shown: list[PredictedSurface] = []
    rows: list[tuple[str, ...]] = []
    with progress(pdb.name, len(instants)) as advance:
        # each is on disk as soon as it is ready: who stops a long prediction keeps what there is
        for surface in predictor.predict(pdb, instants, chain=chain, resolution=resolution, territories=player):
            rows.append(write_surface(surface, out, f"{name}_{len(rows):03d}", kind))
            shown += [surface] if player else []
            advance(f"t = {surface.time:+.3f}, {len(surface.mesh.faces)} triangles")
    show(table_of(rows))
    if player:
        click.echo(f"{write_page(shown, out, name)}: plays them")


def _require_options(context: click.Context, model: str) -> None:
    """Options that the other way of predicting alone has are not passed over in silence."""
    others = ("times", "device") if model == ELASTIC else ("samples", "displacement", "seed")
    for name in others:
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            whose = "a model" if model == ELASTIC else f"`{ELASTIC}`"
            raise InputError(f"--{name} belongs to {whose}; leave it out with `{model}`")


def _sample(
    pdb: Path,
    name: str,
    out: Path,
    kind: str,
    chain: str | None,
    resolution: int,
    samples: int | None,
    displacement: float | None,
    seed: int,
) -> None:
    """Samples of an elastic network: a mesh each, the mean surface, its certain inside and outside, models, a page."""
    from moedsr.files import make_folder
    from moedsr.geometry.elastic_network import MEAN_SQUARE_DISPLACEMENT
    from moedsr.geometry.mesh_files import MESH_FORMATS
    from moedsr.inference.elastic_samples import CERTAIN, SAMPLES, ElasticEnsemble, SurfaceStatistics
    from moedsr.inference.inference import warn_of_missing_hydrogens
    from moedsr.inference.models_file import write_models
    from moedsr.pictures.ensemble_page import write_ensemble_page
    from moedsr_platform.display.terminal import progress, show

    count = 20 if samples is None else samples
    least, most = SAMPLES
    if not least <= count <= most:
        raise InputError(f"--samples is {count}, but must be from {least} to {most}")
    square = MEAN_SQUARE_DISPLACEMENT if displacement is None else displacement**2
    if not 0 < square < 100:
        raise InputError(f"--displacement is {displacement:g} Å, but must be above 0 and below 10")
    ensemble = ElasticEnsemble.of(pdb, chain=chain, mean_square_displacement=square)
    warn_of_missing_hydrogens(ensemble.structure)
    make_folder(out)
    statistics = SurfaceStatistics(ensemble.initial, resolution)
    meshes, conformations, rows = [], [], []

    def write(mesh: "Mesh", ending: str, remark: str) -> None:
        path = out / f"{name}_{ending}.{kind}"
        MESH_FORMATS[kind](mesh, path)
        rows.append((str(path), f"{mesh.volume:.0f}", f"{mesh.area:.0f}", str(len(mesh.faces)), remark))

    with progress(pdb.name, count) as advance:
        for number, atoms in enumerate(ensemble.conformations(count, seed), start=1):
            surface = ensemble.surface(atoms)
            statistics.add(surface)
            meshes.append(ensemble.mesh(surface))
            conformations.append(atoms)
            write(meshes[-1], f"sample_{number:03d}", "")
            advance(f"sample {number}")
    write(statistics.mesh(), "mean", "inside in half of the samples or more")
    write(statistics.mesh(CERTAIN), "certain", f"inside in {CERTAIN:.0%} or more")
    write(statistics.mesh(1 - CERTAIN), "possible", f"inside in {1 - CERTAIN:.0%} or more")
    models, page = out / f"{name}_samples.pdb", out / f"{name}.html"
    write_models(models, ensemble.structure, conformations)
    write_ensemble_page(page, meshes, statistics, f"{name}, {count} samples of its elastic network")
    columns = ("file", "volume Å³", "area Å²", "triangles", "remark")
    note = (
        f"Atoms lie {square**0.5:.2g} Å from where {pdb.name} has them (root mean square, to first order), as in "
        "simulations of other proteins; how far this protein's do, nobody has measured here: --displacement."
    )
    show(Table(f"{count} samples", columns, tuple(rows), note))
    click.echo(f"{models}: the same as atoms, one model each")
    click.echo(f"{page}: plays them, coloured by RMSF, with the mean surface and where it is uncertain")


def write_surface(surface: "PredictedSurface", out: Path, name: str, kind: str = "ply") -> tuple[str, ...]:
    """One mesh, its time in the file's name; returns its row of the table."""
    from moedsr.files import make_folder
    from moedsr.geometry.mesh_files import MESH_FORMATS

    make_folder(out)
    path = out / f"{name}_t{surface.time:+.3f}.{kind}"
    MESH_FORMATS[kind](surface.mesh, path)
    remark = "empty" if surface.mesh.is_empty else "cut at the border" if surface.touches_border else ""
    sizes = (f"{surface.mesh.volume:.0f}", f"{surface.mesh.area:.0f}", str(len(surface.mesh.faces)))
    return (str(path), f"{surface.time:+.3f}", *sizes, remark)


def table_of(rows: Sequence[tuple[str, ...]]) -> Table:
    """What each file holds."""
    remarks = {row[-1] for row in rows}
    note = " ".join(text for remark, text in REMARKS.items() if remark in remarks)
    columns = ("file", "time", "volume Å³", "area Å²", "triangles", "remark")
    return Table(f"{len(rows)} surfaces", columns, tuple(rows), note)


def write_page(surfaces: "list[PredictedSurface]", out: Path, stem: str) -> Path:
    """One HTML page that plays the surfaces: by their distance to the first that is not empty, and by their experts."""
    from moedsr.pictures.surface_player import write_player
    from moedsr.pictures.surface_views import by_disagreement, by_motion, by_outermost_expert

    meshes = [surface.mesh for surface in surfaces]
    territories = [surface.territory for surface in surfaces if surface.territory is not None]
    first = next((mesh for mesh in meshes if not mesh.is_empty), meshes[0])
    views = [by_motion("by motion", meshes, first, since="the first")]
    if len(territories) == len(meshes) and len(territories[0].experts) > 1:
        views.append(by_outermost_expert("by the outermost expert", meshes, territories))
        views.append(by_disagreement("by how far the experts disagree", meshes, territories))
    path = out / f"{stem}.html"
    labels = [f"t = {surface.time:+.3f}" for surface in surfaces]
    write_player(path, views, labels=labels, title=f"{stem}, predicted")
    return path
