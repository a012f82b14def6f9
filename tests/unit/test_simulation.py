"""Simulated ensembles: the physics is that of the force field's file, and a kill costs nothing but seconds."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from mdtraj.formats import XTCTrajectoryFile

pytest.importorskip("openmm", reason="the extra md is not installed")
pytest.importorskip("pdbfixer", reason="the extra md is not installed")

import openmm
from openmm import app, unit

from moedsr.errors import InputError, JobError
from moedsr.structures import ensemble, trajectory
from moedsr.structures.simulation import engine as engines
from moedsr.structures.simulation import replica as replicas
from moedsr.structures.simulation import system as systems
from moedsr.structures.simulation.engine import Engine, choose_engine
from moedsr.structures.simulation.settings import SimulationSettings
from moedsr.structures.simulation.simulate import simulate
from moedsr.structures.structure import Structure, load_structure
from moedsr.structures.superpose import superpose

MINI_ATLAS = Path(ensemble.__file__).parent / "mini_atlas"
SHORT = SimulationSettings(replicas=2, frames=4, interval=0.04, equilibration=0.02)


@pytest.fixture(scope="module")
def protein() -> Structure:
    return load_structure(MINI_ATLAS / "1l2y_A" / "1l2y_A.pdb")


@pytest.fixture(scope="module")
def engine() -> Engine:
    return choose_engine("cpu", threads=1)


@pytest.fixture(scope="module")
def finished(protein: Structure, engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate(protein, "1l2y_A", tmp_path_factory.mktemp("whole"), SHORT, engine)


def frames(path: Path) -> np.ndarray:
    with XTCTrajectoryFile(str(path)) as file:
        return file.read()[0] * 10.0


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_native_solvent_has_the_energy_and_the_forces_of_the_force_field_file() -> None:
    pdb = app.PDBFile(str(MINI_ATLAS / "1crn_A" / "1crn_A.pdb"))  # with disulfide bridges
    asked = app.ForceField(*systems.FORCE_FIELD).createSystem(pdb.topology, nonbondedMethod=app.NoCutoff)
    (solvent,) = (index for index, force in enumerate(asked.getForces()) if isinstance(force, openmm.CustomGBForce))
    native = openmm.XmlSerializer.clone(asked)
    native.addForce(systems.native_obc2(asked))
    native.removeForce(solvent)

    def compute(system: openmm.System) -> tuple[float, np.ndarray]:
        reference = openmm.Platform.getPlatformByName("Reference")  # double precision
        context = openmm.Context(system, openmm.VerletIntegrator(0.001), reference)
        context.setPositions(pdb.positions)
        state = context.getState(getEnergy=True, getForces=True)
        force_unit = unit.kilojoule_per_mole / unit.nanometer
        return state.getPotentialEnergy()._value, state.getForces(asNumpy=True).value_in_unit(force_unit)

    (energy, forces), (native_energy, native_forces) = compute(asked), compute(native)
    assert native_energy == pytest.approx(energy, abs=0.01)
    assert np.abs(native_forces - forces).max() < 1e-5 * np.abs(forces).max()


def test_ensemble_has_the_layout_of_the_bundled_ones(finished: Path, protein: Structure) -> None:
    (found,) = ensemble.find_ensembles(finished.parent)
    assert [path.name for path in found.trajectories] == ["1l2y_A_R1.xtc", "1l2y_A_R2.xtc"]
    p0 = load_structure(found.topology)
    assert p0.sequence == protein.sequence
    assert (len(p0.elements), p0.elements.count("H")) == (304, protein.elements.count("H"))
    assert [trajectory.frame_count(path, p0) for path in found.trajectories] == [SHORT.frames] * 2
    with XTCTrajectoryFile(str(found.trajectories[0])) as file:
        _, times, _, box = file.read()
    np.testing.assert_allclose(times, [0.04, 0.08, 0.12, 0.16], rtol=1e-6)
    assert box is None or not box.any()
    columns = {line[76:78].strip() for line in found.topology.read_text().splitlines() if line.startswith("ATOM")}
    assert columns == {"C", "H", "N", "O"}
    assert sorted(path.name for path in finished.iterdir()) == [
        "1l2y_A.json", "1l2y_A.pdb", "1l2y_A_R1.xtc", "1l2y_A_R2.xtc",
    ]  # fmt: skip


def test_frames_move_and_are_superposed_on_p0_which_is_superposed_on_the_input(
    finished: Path, protein: Structure
) -> None:
    p0 = load_structure(finished / "1l2y_A.pdb")
    target = p0.positions[p0.ca_index]
    moving = frames(finished / "1l2y_A_R1.xtc")[:, p0.ca_index]
    for mobile, fixed in [*((frame, target) for frame in moving), (target, protein.positions[protein.ca_index])]:
        rotation, translation = superpose(mobile, fixed)
        np.testing.assert_allclose(rotation, np.eye(3), atol=2e-3)
        np.testing.assert_allclose(translation, 0, atol=2e-2)
        assert 0.01 < np.sqrt(np.square(mobile - fixed).sum(1).mean()) < 2.0


def test_a_name_may_have_any_letters(finished: Path, protein: Structure, engine: Engine, tmp_path: Path) -> None:
    here = simulate(protein, "prot\u00e9ine 1", tmp_path / "\u00fcben", SHORT, engine)
    content = (here / "prot\u00e9ine 1_R1.xtc").read_bytes()
    assert content == (finished / f"{finished.name}_R1.xtc").read_bytes()


def test_replicas_differ_and_so_do_seeds(finished: Path, protein: Structure, engine: Engine, tmp_path: Path) -> None:
    first, second = (frames(finished / f"1l2y_A_R{number}.xtc") for number in (1, 2))
    assert np.abs(first - second).max() > 0.1
    other = simulate(protein, "1l2y_A", tmp_path, SHORT.model_copy(update={"seed": 1, "replicas": 1}), engine)
    assert np.abs(frames(other / "1l2y_A_R1.xtc") - first).max() > 0.1


def test_interrupted_simulation_goes_on_to_the_same_ensemble(
    finished: Path, protein: Structure, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicas, "SECONDS_BETWEEN_STATES", 0.0)

    def stop_in_the_second_replica(replica: int, frames: int, *, before: bool = False) -> None:
        if (replica, frames, before) == (2, 3, False):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(protein, "1l2y_A", tmp_path, SHORT, engine, stop_in_the_second_replica)
    assert not (tmp_path / "1l2y_A").exists()
    kept = tmp_path / ".1l2y_A.partial" / "1l2y_A_R1.xtc"
    written = kept.stat().st_mtime_ns
    told: list[tuple[int, int, bool]] = []
    again = simulate(
        protein,
        "1l2y_A",
        tmp_path,
        SHORT,
        engine,
        lambda replica, frames, *, before=False: told.append((replica, frames, before)),
    )
    assert told == [(1, 4, True), (2, 2, True), (2, 3, False), (2, 4, False)]
    assert (again / kept.name).stat().st_mtime_ns == written
    assert contents(again) == contents(finished)


def test_state_of_another_platform_is_gone_on_with(
    protein: Structure, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicas, "SECONDS_BETWEEN_STATES", 0.0)

    def stop(replica: int, frames: int, *, before: bool = False) -> None:
        if frames == 2 and not before:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(protein, "p", tmp_path, SHORT, engine, stop)
    finished = simulate(protein, "p", tmp_path, SHORT, Engine("Reference"))
    steps = np.diff(frames(finished / "p_R1.xtc"), axis=0)
    assert len(steps) == SHORT.frames - 1
    assert np.abs(steps).max() < 2.0  # goes on from where it was, not from P0 or elsewhere


def test_killed_command_goes_on_and_keeps_finished_replicas(tmp_path: Path) -> None:
    def command(out: Path) -> list[str]:
        options = ["--replicas", "2", "--frames", "3", "--interval", "0.2", "--equilibration", "0.1", "--threads", "1"]
        file = MINI_ATLAS / "1l2y_A" / "1l2y_A.pdb"
        program = (
            "import moedsr.structures.simulation.replica as replica; replica.SECONDS_BETWEEN_STATES = 0\n"
            "from moedsr_platform.cli import main; main()"
        )
        return [
            sys.executable,
            "-W",
            "ignore",
            "-c",
            program,
            "data",
            "simulate",
            str(file),
            "--out",
            str(out),
            *options,
        ]

    killed = subprocess.Popen(command(tmp_path / "killed"))
    state = tmp_path / "killed" / ".1l2y_A.partial" / "R2.state.npz"
    while not state.exists() and killed.poll() is None:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    kept = (tmp_path / "killed" / ".1l2y_A.partial" / "1l2y_A_R1.xtc").read_bytes()
    again = subprocess.run(command(tmp_path / "killed"), check=True, capture_output=True, text=True)
    assert "R2" in again.stderr
    assert "R1" not in again.stderr
    assert (tmp_path / "killed" / "1l2y_A" / "1l2y_A_R1.xtc").read_bytes() == kept
    assert not list((tmp_path / "killed").glob(".*"))


def test_finished_ensemble_is_kept_and_other_settings_are_refused(
    finished: Path, protein: Structure, engine: Engine
) -> None:
    before = contents(finished)
    assert simulate(protein, "1l2y_A", finished.parent, SHORT, engine) == finished
    assert contents(finished) == before
    hotter = SHORT.model_copy(update={"temperature": 320.0})
    with pytest.raises(InputError, match=r"was simulated with temperature 300\.0, but 320\.0 is wanted"):
        simulate(protein, "1l2y_A", finished.parent, hotter, engine)


def test_second_process_on_the_same_ensemble_is_refused(protein: Structure, engine: Engine, tmp_path: Path) -> None:
    def simulate_again(replica: int, frames: int, *, before: bool = False) -> None:
        simulate(protein, "p", tmp_path, SHORT, engine)

    with pytest.raises(JobError, match="another process works there already"):
        simulate(protein, "p", tmp_path, SHORT, engine, simulate_again)


def test_gap_parts_the_chain_and_heavy_atoms_that_lack_are_added(tmp_path: Path) -> None:
    lines = (MINI_ATLAS / "1l2y_A" / "1l2y_A.pdb").read_text().splitlines()
    lacking = [
        line
        for line in lines
        if line.startswith("ATOM") and line[22:26].strip() not in ("9", "10", "11") and line[12:16].strip() != "CG"
    ]
    (tmp_path / "gap.pdb").write_text("\n".join(lacking))
    (tmp_path / "p0.pdb").write_text(systems.complete_protein(load_structure(tmp_path / "gap.pdb"), SHORT))
    p0 = load_structure(tmp_path / "p0.pdb")
    names = [(int(residue) + 1, name) for residue, name in zip(p0.residue_of_atom, p0.atom_names, strict=True)]
    assert (3, "CG") in names
    assert [residue for residue, name in names if name == "OXT"] == [8, 17]
    system, positions, ca = systems.load_p0(tmp_path / "p0.pdb", SHORT)
    assert system.getNumParticles() == len(positions) == len(p0.elements)
    assert ca == p0.ca_index.tolist()


def test_modified_residue_becomes_its_natural_parent_and_an_unknown_one_is_named(tmp_path: Path) -> None:
    text = (MINI_ATLAS / "1vii_A" / "1vii_A.pdb").read_text()
    atoms = "\n".join(line for line in text.splitlines() if line.startswith("ATOM") and int(line[22:26]) < 48)
    selenium = atoms.replace("MET", "MSE").replace(" SD  MSE", "SE   MSE")
    (tmp_path / "mse.pdb").write_text(selenium)
    (tmp_path / "p0.pdb").write_text(systems.complete_protein(load_structure(tmp_path / "mse.pdb"), SHORT))
    assert load_structure(tmp_path / "p0.pdb").sequence == "MLSDEDF"
    (tmp_path / "odd.pdb").write_text(atoms.replace("MET", "QQQ"))
    with pytest.raises(InputError, match=r"odd\.pdb: residue 1 is QQQ, which amber14 does not know"):
        systems.complete_protein(load_structure(tmp_path / "odd.pdb"), SHORT)


def test_exploding_molecule_is_told(finished: Path, engine: Engine, tmp_path: Path) -> None:
    system, positions, ca = systems.load_p0(finished / "1l2y_A.pdb", SHORT)
    replica = replicas.Replica(1, tmp_path, SHORT, (system, np.zeros_like(positions), ca))
    with pytest.raises(JobError, match=r"replica R1 flew apart after 0\.0 ps .*--timestep 2"):
        replica.run(engine, lambda frames: None)


def test_folder_that_cannot_be_written_is_told(protein: Structure, engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file: cannot be written"):
        simulate(protein, "p", tmp_path / "file", SHORT, engine)


def test_a_gpu_that_does_not_work_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "_gpus", lambda: ["NoSuchPlatform"])
    assert choose_engine("auto", threads=3) == choose_engine("cpu", threads=3)
    assert str(choose_engine("auto", threads=3)) == "CPU, 3 threads"
    with pytest.raises(InputError, match=r"no GPU works here; OpenMM has NoSuchPlatform: .* --device cpu"):
        choose_engine("gpu")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"interval": 2.41}, r"2\.41 ps is 602\.5 steps of 4 fs, .* nearest is 2\.408 ps"),
        ({"interval": 0.001}, r"nearest is 0\.004 ps"),
        ({"frames": 0}, "greater than or equal to 1"),
        ({"temperature": 0.0}, "greater than 0"),
    ],
)
def test_settings_are_checked(values: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SimulationSettings.model_validate(values)


def test_times_add_up() -> None:
    settings = SimulationSettings()
    assert (settings.steps_between_frames, settings.equilibration_steps) == (600, 2500)
    assert settings.steps_per_replica == 62_500
    assert settings.nanoseconds == pytest.approx(0.75)
