"""The surface of a real protein beside that of MSMS: distances both ways, normals, area and volume.

Needs a folder of `{id}/{id}.pdb` (with hydrogens) and `{id}/{id}.ply` (MSMS surface) that is not part of the project:

    MOEDSR_MSMS_ORACLE=FOLDER pytest -m benchmark -s tests/benchmarks/test_surface_against_msms.py
"""

import os
from pathlib import Path

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray
from scipy.spatial import KDTree

from moedsr.geometry.mesh import Mesh
from moedsr.geometry.surface import SolventExcludedSurface, solvent_excluded_surface
from moedsr.structures.radii import bondi_radii
from moedsr.structures.structure import load_structure

FOLDER = os.environ.get("MOEDSR_MSMS_ORACLE")
ORACLE_RADII = {"H": 1.20, "C": 1.74, "N": 1.54, "O": 1.40, "S": 1.80}  # Å, of the program that drew the surfaces
ORACLE_PROBE = 1.5  # Å
SAMPLES, _NEAR = 50_000, 12

pytestmark = [
    pytest.mark.benchmark,
    pytest.mark.skipif(FOLDER is None, reason="MOEDSR_MSMS_ORACLE names no folder of MSMS surfaces"),
]


def entries() -> list[Path]:
    return sorted(Path(FOLDER).glob("*/*.ply")) if FOLDER else []


def surface_of(path: Path, *, ours: bool, spacing: float) -> SolventExcludedSurface:
    structure = load_structure(path)
    radii = bondi_radii(structure.elements) if ours else [ORACLE_RADII[element] for element in structure.elements]
    return solvent_excluded_surface(
        structure.positions, radii, spacing=spacing, probe_radius=1.4 if ours else ORACLE_PROBE
    )


def spread(values: NDArray[np.float64], unit: str) -> str:
    return f"{values.mean():.3f} {unit} (95 % {np.quantile(values, 0.95):.3f})"


def distance_to_mesh(points: NDArray[np.float64], mesh: Mesh) -> NDArray[np.float64]:
    """(P,) Å to the nearest of the triangles whose middles are near."""
    triangles = mesh.vertices[mesh.faces]
    _, near = KDTree(triangles.mean(axis=1)).query(points, k=_NEAR)
    feet = trimesh.triangles.closest_point(triangles[near.ravel()], np.repeat(points, _NEAR, axis=0))
    return np.linalg.norm(feet.reshape(len(points), _NEAR, 3) - points[:, None], axis=2).min(axis=1)


@pytest.mark.parametrize("path", entries(), ids=lambda path: path.stem)
@pytest.mark.parametrize("spacing", [1.0, 0.5, 0.25])
@pytest.mark.parametrize("ours", [False, True], ids=["radii of MSMS", "Bondi radii"])
def test_surfaces_of_msms(path: Path, spacing: float, ours: bool, capsys: pytest.CaptureFixture[str]) -> None:
    surface = surface_of(path.with_suffix(".pdb"), ours=ours, spacing=spacing)
    mesh = surface.mesh()
    oracle = trimesh.load(path, process=False)
    theirs = Mesh(np.asarray(oracle.vertices), np.asarray(oracle.faces), np.asarray(oracle.vertex_normals))
    rng = np.random.default_rng(0)
    points, normals = theirs.sample(SAMPLES, rng)
    to_ours = np.abs(surface.signed_distance(points))
    at_vertices = np.abs(surface.signed_distance(theirs.vertices))
    near = np.flatnonzero(to_ours < 0.5 * ORACLE_PROBE)  # farther off there is no foot to compare with
    facing = (surface.project(points[near], normals[near])[1] * normals[near]).sum(axis=1)
    own, _ = surface.project(*mesh.sample(SAMPLES, rng))
    to_theirs = distance_to_mesh(own, theirs)
    with capsys.disabled():
        print(
            f"\n{path.stem}, {'Bondi' if ours else 'its'} radii, spacing {spacing} Å: from MSMS"
            f" {spread(to_ours, 'Å')}, from its vertices {spread(at_vertices, 'Å')}, to MSMS {spread(to_theirs, 'Å')},"
            f" normals {spread(np.degrees(np.arccos(np.clip(facing, -1, 1))), '°')},"
            f" area {mesh.area / theirs.area:.3f}, volume {mesh.volume / theirs.volume:.4f} of MSMS"
        )
    assert trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).is_watertight
    if not ours:  # what is left is the oracle's own mesh, whose triangles of about 1 Å cut corners
        assert at_vertices.mean() < 0.08
        assert to_ours.mean() < 0.15
        assert mesh.volume == pytest.approx(theirs.volume, rel=0.01)
