"""`moedsr data simulate`: a short molecular-dynamics ensemble of any single protein chain."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
from pydantic import ValidationError

from moedsr.errors import InputError, InterruptedJobError, JobError

if TYPE_CHECKING:
    from moedsr.structures.simulation.engine import Device
    from moedsr.structures.simulation.settings import SimulationSettings
    from moedsr.structures.simulation.simulate import Progress
    from moedsr_platform.display.meter import Meter

SECONDS_A_DAY = 86400.0
ENDINGS = (".pdb", ".ent", ".pdb.gz", ".ent.gz")


@click.command()
@click.argument("structure", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Holds the ID folder.")
@click.option("--id", "name", help="Name of the ensemble. [default: the file's, with the chain: 1abc_A]")
@click.option("--chain", help="Which chain, where the file has several.")
@click.option("--replicas", type=int, default=3, show_default=True, help="Independent simulations.")
@click.option("--frames", type=int, default=100, show_default=True, help="Frames kept per replica.")
@click.option("--interval", type=float, default=2.4, show_default=True, help="ps between frames.")
@click.option("--equilibration", type=float, default=10.0, show_default=True, help="ps before the first interval.")
@click.option("--temperature", type=float, default=300.0, show_default=True, help="K.")
@click.option("--timestep", type=float, default=4.0, show_default=True, help="fs; 2 where 4 is too much.")
@click.option("--seed", type=int, default=0, show_default=True, help="Other seeds give other replicas.")
@click.option("--device", type=click.Choice(["auto", "cpu", "gpu"]), default="auto", show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="Of the CPU. [default: all]")
def simulate(
    structure: Path,
    out: Path,
    name: str | None,
    chain: str | None,
    device: "Device",
    threads: int | None,
    **values: float,
) -> None:
    """Simulate the protein of STRUCTURE, a PDB file, into an ensemble OUT/ID in ATLAS layout.

    Amber14 in implicit solvent (OBC2), on a GPU where one works. Missing atoms and hydrogens are added,
    missing residues are not. Can be killed at any moment: the same command goes on.

    \b
    moedsr data simulate 1abc.pdb --out ensembles
    moedsr data prepare ensembles --out store
    """
    settings = _settings(values)  # a wrong value is said before OpenMM is loaded
    try:
        from moedsr.structures.simulation.engine import choose_engine
        from moedsr.structures.simulation.simulate import simulate as simulate_ensemble
    except ImportError as error:
        if error.name not in ("openmm", "pdbfixer"):
            raise
        raise InputError(f"{error.name} is missing; simulation needs it: pip install 'moedsr[md]'") from error
    from moedsr.structures.structure import load_structure
    from moedsr_platform.display.meter import meter

    protein = load_structure(structure, chain)
    name = ensemble_name(structure, protein.chain) if name is None else name
    engine = choose_engine(device, threads)
    click.echo(
        f"{name}: {len(protein.sequence)} residues, {settings.replicas} replicas of {settings.frames} frames "
        f"{settings.interval:g} ps apart, {settings.nanoseconds:.2g} ns in all, on {engine}"
    )
    frames = settings.replicas * settings.frames
    per_day = settings.nanoseconds / frames * SECONDS_A_DAY
    try:
        with meter(name, frames, lambda rate: f"{rate * per_day:.3g} ns/day") as shown:
            folder = simulate_ensemble(protein, name, out, settings, engine, shown_by(shown))
    except KeyboardInterrupt as error:
        raise InterruptedJobError(
            f"{name}: interrupted; the same command goes on where it last saved", *error.args
        ) from error
    except OSError as error:
        raise JobError(f"{out}: {error.strerror or error}; once that is put right, the same command goes on") from error
    click.echo(f"{folder}: P0 and {settings.replicas} replicas")


def ensemble_name(structure: Path, chain: str) -> str:
    """``1abc.pdb`` with chain A is ``1abc_A``; a name that already ends so is kept.

    Raises:
        InputError: the name of the file does not end as that of a PDB file.
    """
    ending = next((ending for ending in ENDINGS if structure.name.lower().endswith(ending)), None)
    if ending is None:
        raise InputError(f"{structure}: must be a PDB file, named {', '.join(f'*{ending}' for ending in ENDINGS)}")
    stem = structure.name[: -len(ending)]
    return stem if not chain or stem.endswith(f"_{chain}") else f"{stem}_{chain}"


def shown_by(meter: "Meter") -> "Progress":
    """What the simulation tells, shown: frames that a replica had before it went on count as done, not for the rate."""
    seen: dict[int, int] = {}

    def tell(replica: int, frames: int, *, before: bool = False) -> None:
        new = frames - seen.get(replica, 0)
        seen[replica] = frames
        if before:
            meter.skip(new)
            meter.begin()
        else:
            meter.advance(new, f"R{replica}")

    return tell


def _settings(values: dict[str, float]) -> "SimulationSettings":
    from moedsr.structures.simulation.settings import SimulationSettings

    try:
        return SimulationSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        option = f"--{first['loc'][0]} {first['input']}: " if first["loc"] else ""
        raise InputError(option + first["msg"].removeprefix("Value error, ")) from error
