"""What preparation costs: processor seconds and bytes of a frame, memory of a task, and how well two cores share.

    OMP_NUM_THREADS=1 pytest -m benchmark -s tests/benchmarks/test_prepare_cost.py

With MOEDSR_ATLAS_CSV=atlas.csv (lines `name,sequence`, as ATLAS offers them) the cost of a whole archive is worked out
from the measured one. MDAnalysisTests (`pip install --no-deps MDAnalysisTests`) adds adenylate kinase, 3,341 atoms.
"""

import csv
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import mdtraj
import numpy as np
import pytest

from moedsr.structures.ensemble import Ensemble, find_ensembles

pytestmark = pytest.mark.benchmark

FRAMES = 20
ATOMS_PER_RESIDUE = 15.6
ALONE = """
import json, sys, time
from pathlib import Path
from moedsr.config import PrepareConfig
from moedsr.structures.ensemble import Ensemble
from moedsr.store.prepare import prepare_protein
name, pdb, *replicas, folder, frames = sys.argv[1:]
ensemble = Ensemble(name, Path(pdb), tuple(map(Path, replicas)))
prepare_protein(ensemble, PrepareConfig(frames=1), Path(folder))  # compiled code is loaded once a process
started = time.process_time()
entry = prepare_protein(ensemble, PrepareConfig(frames=int(frames)), Path(folder))
seconds = time.process_time() - started
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
peak = 1024 * int(status["VmHWM"].split()[0])  # getrusage's would be that of the parent too
print(json.dumps([entry.atoms, seconds / entry.frames, entry.size / entry.frames, peak]))
"""
ON_CORES = """
import sys, time
from pathlib import Path
import ray
from moedsr.config import PrepareConfig
from moedsr.structures.ensemble import find_ensembles
from moedsr_platform.cluster.preparation_tasks import outcomes
cores, folder, frames = int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
ray.init(address="local", num_cpus=cores, include_dashboard=False, log_to_driver=False)
ensembles = find_ensembles("mini-atlas") * 2
settings = PrepareConfig(frames=1)
# workers have started and loaded compiled code
list(outcomes(ensembles[:2 * cores], settings, str(folder / "warm"), print))
started = time.perf_counter()
settings = PrepareConfig(frames=frames)
copies = [type(one)(f"{one.name}{i}", one.topology, one.trajectories) for i, one in enumerate(ensembles)]
assert all(not isinstance(outcome, str) for _, outcome in outcomes(copies, settings, str(folder / "timed"), print))
print(time.perf_counter() - started)
"""


def adenylate_kinase(folder: Path) -> Ensemble | None:
    """Three closing and opening paths of one protein, as an ensemble."""
    spec = importlib.util.find_spec("MDAnalysisTests")
    if spec is None or not spec.submodule_search_locations:
        return None
    data = Path(spec.submodule_search_locations[0]) / "data"
    topology = mdtraj.load_psf(str(data / "adk.psf"))
    for atom in topology.atoms:
        atom.element = mdtraj.element.get_by_symbol(atom.name[0])
    frames = mdtraj.load_dcd(str(data / "adk_dims.dcd"), top=topology)[:30]
    frames[0].save_pdb(str(folder / "adk_A.pdb"))
    frames.save_xtc(str(folder / "adk_A_R1.xtc"))
    return Ensemble("adk_A", folder / "adk_A.pdb", (folder / "adk_A_R1.xtc",))


def last_line(program: str, *arguments: object) -> str:
    run = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True, check=True
    )
    return run.stdout.splitlines()[-1]


def test_cost_of_a_frame_and_of_an_archive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ensembles = [*find_ensembles("mini-atlas"), adenylate_kinase(tmp_path)]
    rows = []
    for ensemble in filter(None, ensembles):
        files = [ensemble.topology, *ensemble.trajectories]
        rows.append(json.loads(last_line(ALONE, ensemble.name, *files, tmp_path / "store", FRAMES)))
        atoms, seconds, size, peak = rows[-1]
        with capsys.disabled():
            print(f"\n{ensemble.name}, {atoms} atoms: {1e3 * seconds:.0f} ms and {size / 1e3:.0f} kB a frame,", end=" ")
            print(f"peak memory {peak / 1e6:.0f} MB", end="")
    atoms, seconds, size, _ = np.array(rows).T
    per_second, per_byte = np.polyfit(atoms, seconds, 1), np.polyfit(atoms, size, 1)
    with capsys.disabled():
        print(f"\na frame: {1e3 * per_second[1]:.0f} ms + {1e6 * per_second[0]:.1f} µs an atom;", end=" ")
        print(f"{per_byte[1] / 1e3:.0f} kB + {per_byte[0]:.1f} B an atom")
    if file := os.environ.get("MOEDSR_ATLAS_CSV"):
        with Path(file).open() as stream:
            residues = [len(row[1]) for row in csv.reader(stream) if row[1] != "seqres"]
        each = ATOMS_PER_RESIDUE * np.array(residues)
        hours = 101 * np.polyval(per_second, each).sum() / 3600
        with capsys.disabled():
            print(f"{len(each)} chains of 101 frames: {hours:.1f} core-hours,", end=" ")
            print(f"{101 * np.polyval(per_byte, each).sum() / 1e9:.1f} GB")


def test_two_cores_against_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Twelve small proteins in turn on one core and on two."""
    times: dict[int, list[float]] = {1: [], 2: []}
    for repeat in range(3):
        for cores in times:
            times[cores].append(float(last_line(ON_CORES, cores, tmp_path / f"{cores}-{repeat}", FRAMES)))
            time.sleep(1)
    one, two = (statistics.median(values) for values in times.values())
    with capsys.disabled():
        print(f"\none core {one:.1f} s, two cores {two:.1f} s: parallel efficiency {one / two / 2:.2f}")
        print(f"  load of the machine: {os.getloadavg()[0]:.1f}")
