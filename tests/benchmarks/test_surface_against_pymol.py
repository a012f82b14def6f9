"""The surface of adenylate kinase beside PyMOL's: how far off, and how long, in turn and on one core.

Needs PyMOL (`pip install moedsr[pymol]`) and the files of MDAnalysisTests (`pip install --no-deps MDAnalysisTests`;
3,341 atoms with hydrogens). What is printed as error is the distance of points, spread evenly over a mesh, from the
surface that 64 dots per Å² of the accessible surface and its arcs define. Times are of the processor, so that a busy
machine does not enter.

    OMP_NUM_THREADS=1 pytest -m benchmark -s tests/benchmarks/test_surface_against_pymol.py
"""

import importlib.util
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import mdtraj
import numpy as np
import pytest
import trimesh
from accessible_dots import accessible_dots
from numpy.typing import NDArray
from scipy.spatial import KDTree

from moedsr.geometry.mesh import Mesh, vertex_normals
from moedsr.geometry.surface import solvent_excluded_surface
from moedsr.structures.radii import bondi_radii

pytestmark = pytest.mark.benchmark

PROBE, PAIRS, SAMPLES = 1.4, 7, 40_000
SPACINGS = (1.25, 1.0, 0.75, 0.5)

Points = NDArray[np.float64]


class Protein:
    """Atoms of the first frame, and a PDB file of them for PyMOL."""

    def __init__(self, folder: Path) -> None:
        spec = importlib.util.find_spec("MDAnalysisTests")
        if spec is None or not spec.submodule_search_locations:
            pytest.skip("MDAnalysisTests is not installed")
        data = Path(spec.submodule_search_locations[0]) / "data"
        frame = mdtraj.load_frame(str(data / "adk_dims.dcd"), 0, top=str(data / "adk.psf"))
        self.elements = [atom.name[0] for atom in frame.topology.atoms]
        self.pdb = folder / "adk.pdb"
        positions = frame.xyz[0] * 10.0
        lines = [
            f"ATOM  {atom.index + 1:5d} {atom.name:<4s} {atom.residue.name[:3]:3s} A{atom.residue.resSeq:4d}    "
            f"{x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00          {element:>2s}"
            for atom, element, (x, y, z) in zip(frame.topology.atoms, self.elements, positions, strict=True)
        ]
        self.pdb.write_text("\n".join([*lines, "END", ""]))
        self.positions = positions.round(3).astype(np.float64)
        self.radii = bondi_radii(self.elements).astype(np.float64)


@pytest.fixture(scope="module")
def protein(tmp_path_factory: pytest.TempPathFactory) -> Protein:
    return Protein(tmp_path_factory.mktemp("adk"))


@pytest.fixture(scope="module")
def truth(protein: Protein) -> KDTree:
    return KDTree(accessible_dots(protein.positions, protein.radii + PROBE), balanced_tree=False)


class PyMol:
    """PyMOL's mesh at a quality, with the seconds of its computation and of its export."""

    def __init__(self, protein: Protein) -> None:
        pymol2 = pytest.importorskip("pymol2")
        self._session = pymol2.PyMOL()
        self._session.start()
        self._protein = protein
        self._exported = protein.pdb.with_suffix(".obj")

    def run(self, quality: int) -> tuple[float, float]:
        cmd = self._session.cmd
        cmd.reinitialize()
        cmd.load(str(self._protein.pdb), "protein")
        cmd.set("surface_quality", quality)
        cmd.hide("everything")
        started = time.process_time()
        cmd.show("surface")
        cmd.refresh()
        computed = time.process_time()
        cmd.save(str(self._exported))
        return computed - started, time.process_time() - started

    def mesh(self) -> Mesh:
        """The outer surface of the last run."""
        soup = trimesh.load(self._exported, process=True, merge_norm=True, merge_tex=True)
        # the export is about the mean of the atoms
        body = trimesh.Trimesh(soup.vertices + self._protein.positions.mean(axis=0), soup.faces)
        outer = max(body.split(only_watertight=False), key=lambda part: part.area)
        vertices, faces = np.asarray(outer.vertices), np.asarray(outer.faces)
        return Mesh(vertices, faces, vertex_normals(vertices, faces))


def describe(mesh: Mesh, truth: KDTree, points: Points | None = None) -> str:
    points = mesh.sample(SAMPLES, np.random.default_rng(0))[0] if points is None else points
    error = np.abs(truth.query(points)[0] - PROBE)
    vertices = np.abs(truth.query(mesh.vertices)[0] - PROBE)
    return (
        f"{len(mesh.vertices):6d} vertices, off by {error.mean():.3f} Å (95 % {np.quantile(error, 0.95):.3f};"
        f" vertices {vertices.mean():.3f}), area {mesh.area:.0f} Å², volume {mesh.volume:.0f} Å³"
    )


def in_turn(first: Callable[[], tuple[float, float]], second: Callable[[], float]) -> tuple[float, float, float]:
    """Medians of both seconds of the first and of the second's, run in turn after one warm-up."""
    pairs = [(*first(), second()) for _ in range(PAIRS + 1)][1:]
    computed, exported, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
    return computed, exported, ours


def test_speed_and_error_beside_pymol(protein: Protein, truth: KDTree, capsys: pytest.CaptureFixture[str]) -> None:
    pymol = PyMol(protein)
    for quality in (1, 0):
        pymol.run(quality)
        with capsys.disabled():
            print(f"\nPyMOL quality {quality}: {describe(pymol.mesh(), truth)}")
    theirs = np.abs(truth.query(pymol.mesh().sample(SAMPLES, np.random.default_rng(0))[0])[0] - PROBE).mean()
    for spacing in SPACINGS:

        def ours(spacing: float = spacing) -> float:
            started = time.process_time()
            solvent_excluded_surface(protein.positions, protein.radii, spacing=spacing).mesh()
            return time.process_time() - started

        computed, exported, seconds = in_turn(lambda: pymol.run(0), ours)
        surface = solvent_excluded_surface(protein.positions, protein.radii, spacing=spacing)
        mesh = surface.mesh()
        samples, _ = surface.project(*mesh.sample(5000, np.random.default_rng(1)))
        stored = np.abs(truth.query(samples)[0] - PROBE)
        with capsys.disabled():
            print(f"spacing {spacing}: {describe(mesh, truth)}")
            print(f"  stored points off by {stored.mean():.4f} Å (95 % {np.quantile(stored, 0.95):.4f})")
            print(
                f"  {1e3 * seconds:.0f} ms; PyMOL {1e3 * computed:.0f} ms, with its export {1e3 * exported:.0f} ms:"
                f" {computed / seconds:.1f} and {exported / seconds:.1f} times as fast"
            )
        assert np.abs(truth.query(mesh.sample(SAMPLES, np.random.default_rng(0))[0])[0] - PROBE).mean() < theirs


def test_inside_test_of_the_metric_grid(protein: Protein, truth: KDTree, capsys: pytest.CaptureFixture[str]) -> None:
    """Nodes whose sign is wrong are those that lie within hundredths of an Å of the surface."""
    centre, scale, nodes = protein.positions.mean(axis=0), 47.0, 128
    axes = [middle + scale * np.linspace(-1, 1, nodes) for middle in centre]
    fine = solvent_excluded_surface(protein.positions, protein.radii, spacing=0.25).occupancy(centre, scale, nodes)
    for spacing in SPACINGS:
        surface = solvent_excluded_surface(protein.positions, protein.radii, spacing=spacing)
        started = time.process_time()
        inside = surface.occupancy(centre, scale, nodes)
        seconds = time.process_time() - started
        wrong = np.argwhere(inside != fine)
        off = np.abs(truth.query(np.stack([axis[i] for axis, i in zip(axes, wrong.T, strict=True)], 1))[0] - PROBE)
        with capsys.disabled():
            print(
                f"\nspacing {spacing}: {1e3 * seconds:.0f} ms, {len(wrong)} of {inside.sum()} inside nodes differ from"
                f" spacing 0.25, {off.mean() if len(off) else 0:.3f} Å from the surface on average"
            )
