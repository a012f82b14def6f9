"""Whatever a file holds, its reader ends in a sound result or in one clear line, never in a crash."""

import subprocess
import sys
from pathlib import Path

import damaged_files
import numpy as np
import pytest
from mdtraj.formats import DCDTrajectoryFile, NetCDFTrajectoryFile, TRRTrajectoryFile, XTCTrajectoryFile

from moedsr.config import PrepareConfig
from moedsr.store.prepare import prepare_serially
from moedsr.structures.ensemble import find_ensembles
from moedsr.structures.structure import Structure, load_structure

FRAMES = 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One real protein in every format, sound."""
    folder = tmp_path_factory.mktemp("sound")
    ensemble = next(one for one in find_ensembles("mini-atlas") if one.name == "1l2y_A")
    (folder / "sound.pdb").write_bytes(ensemble.topology.read_bytes())
    structure = load_structure(ensemble.topology)
    write_topologies(folder, structure)
    with XTCTrajectoryFile(str(ensemble.trajectories[0])) as file:
        frames = file.read(n_frames=FRAMES)[0] * 10
    write_trajectories(folder, frames, structure)
    settings = PrepareConfig(frames=2, surface_points=60, grid_spacing=1.0, occupancy_grid=16)
    prepare_serially("mini-atlas", settings, folder / "store", ["1l2y_A", "1vii_A"])
    return folder


def write_topologies(folder: Path, structure: Structure) -> None:
    rows = list(zip(structure.atom_names, structure.residue_of_atom, structure.positions, strict=True))
    names = structure.residue_names
    gro = [
        f"{residue + 1:5d}{names[residue]:<5}{name:>5}{i:5d}" + "".join(f"{x / 10:8.3f}" for x in position)
        for i, (name, residue, position) in enumerate(rows, start=1)
    ]
    (folder / "sound.gro").write_text("\n".join(["one", str(len(gro)), *gro, "   9.0   9.0   9.0", ""]))
    psf = [
        f"{i:8d} PROT {residue + 1:<4d} {names[residue]:<4} {name:<4} X 0.0 12.0 0"
        for i, (name, residue, _) in enumerate(rows, start=1)
    ]
    (folder / "sound.psf").write_text("\n".join(["PSF", "", f"{len(psf):8d} !NATOM", *psf, ""]))
    columns = ("group_PDB", "type_symbol", "label_atom_id", "label_comp_id", "auth_asym_id", "auth_seq_id")
    head = ["data_one", "loop_", *(f"_atom_site.{key}" for key in (*columns, "Cartn_x", "Cartn_y", "Cartn_z"))]
    cif = [
        f"ATOM {element} {name} {names[residue]} A {residue + 1} " + " ".join(f"{x:.3f}" for x in position)
        for element, (name, residue, position) in zip(structure.elements, rows, strict=True)
    ]
    (folder / "sound.cif").write_text("\n".join([*head, *cif, "#", ""]))


@pytest.mark.filterwarnings("ignore:.*netCDF4")
def write_trajectories(folder: Path, frames: np.ndarray, structure: Structure) -> None:
    import h5py

    box = np.repeat(np.eye(3, dtype=np.float32)[None] * 9, len(frames), axis=0)
    with XTCTrajectoryFile(str(folder / "sound.xtc"), "w") as xtc:
        xtc.write(frames / 10, box=box)
    with TRRTrajectoryFile(str(folder / "sound.trr"), "w") as trr:
        trr.write(frames / 10, box=box)
    with DCDTrajectoryFile(str(folder / "sound.dcd"), "w") as dcd:
        dcd.write(frames)
    with NetCDFTrajectoryFile(str(folder / "sound.nc"), "w") as netcdf:
        netcdf.write(frames)
    with h5py.File(folder / "sound.h5", "w") as hdf5:
        hdf5["coordinates"] = frames / 10
    atoms = [line for line in structure.path.read_text().splitlines() if line.startswith("ATOM")]
    lines = []
    for number, frame in enumerate(frames, start=1):
        lines.append(f"MODEL {number:8d}")
        moved = zip(atoms, frame, strict=True)
        lines += [line[:30] + "".join(f"{x:8.3f}" for x in position) + line[54:] for line, position in moved]
        lines.append("ENDMDL")
    (folder / "sound.models.pdb").write_text("\n".join([*lines, "END", ""]))


def run(folder: Path, kind: str, count: int) -> str:
    """Output of the cases 0 … count - 1 of one kind, read in a process of their own."""
    command = [sys.executable, damaged_files.__file__, str(folder), kind, "0", str(count)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20 + count, check=False)
    except subprocess.TimeoutExpired as error:
        output = error.stdout.decode() if isinstance(error.stdout, bytes) else error.stdout or ""
        pytest.fail(f"{kind}: case {output.splitlines()[-1:]} hangs")
    assert done.returncode == 0, f"{kind}: case {done.stdout.splitlines()[-1:]} crashes: {done.stderr[-2000:]}"
    return done.stdout


def unclean(output: str, count: int) -> list[str]:
    lines = output.splitlines()
    assert sum(line.isdigit() for line in lines) == count  # else some were never read
    return [line for line in lines if not line.isdigit()]


@pytest.mark.parametrize("kind", ["pdb", "xtc", "manifest.json", "proteins.parquet", "1l2y_A.safetensors"])
def test_damage_is_told(folder: Path, kind: str) -> None:
    assert unclean(run(folder, kind, 60), 60) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", damaged_files.KINDS)
def test_much_damage_is_told(folder: Path, kind: str) -> None:
    assert unclean(run(folder, kind, 400), 400) == []


def test_sound_files_are_read(folder: Path) -> None:
    """Else nothing above is tested."""
    for kind in damaged_files.TOPOLOGIES + damaged_files.TRAJECTORIES:
        damaged_files.read_ensemble(folder, kind, folder / f"sound.{kind}")
    damaged_files.read_store(folder / "store", folder / "store")
