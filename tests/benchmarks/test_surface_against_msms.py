"""The surface of a real protein beside that of MSMS, and the time it takes.

Needs a folder of `{id}/{id}.pdb` (with hydrogens) and `{id}/{id}.ply` (MSMS surface) that is not part of the
project. The figures are logged:

    MOEDSR_MSMS_ORACLE=FOLDER pytest -m benchmark --log-cli-level=INFO tests/benchmarks/test_surface_against*
"""

import logging
import os
import time
from pathlib import Path

import numpy as np
import pytest
import trimesh
from scipy.spatial import KDTree

from moedsr.geometry.radii import bondi_radii
from moedsr.geometry.surface import solvent_excluded_surface

FOLDER = os.environ.get("MOEDSR_MSMS_ORACLE")
ORACLE_RADII = {
    "H": 1.20,
    "C": 1.74,
    "N": 1.54,
    "O": 1.40,
    "S": 1.80,
}  # Å, of the program that drew the surfaces
ORACLE_PROBE = 1.5  # Å

pytestmark = [
    pytest.mark.benchmark,
    pytest.mark.skipif(FOLDER is None, reason="MOEDSR_MSMS_ORACLE names no folder of MSMS surfaces"),
]


def entries():
    return sorted(Path(FOLDER).glob("*/*.ply")) if FOLDER else []


def read_atoms(path):
    lines = [line for line in path.read_text().splitlines() if line.startswith("ATOM")]
    positions = np.array([[float(line[start : start + 8]) for start in (30, 38, 46)] for line in lines])
    return positions, [line[76:78].strip() for line in lines]


@pytest.mark.parametrize("path", entries(), ids=lambda path: path.stem)
@pytest.mark.parametrize("spacing", [1.0, 0.5, 0.25])
@pytest.mark.parametrize("ours", [False, True], ids=["oracle radii", "our radii"])
def test_distance_to_msms(path, spacing, ours):
    positions, elements = read_atoms(path.with_suffix(".pdb"))
    radii = bondi_radii(elements) if ours else np.array([ORACLE_RADII[element] for element in elements])
    start = time.perf_counter()
    surface = solvent_excluded_surface(positions, radii, spacing=spacing, probe_radius=1.4 if ours else ORACLE_PROBE)
    mesh = surface.mesh()
    seconds = time.perf_counter() - start

    oracle = trimesh.load(path, process=False)
    samples, faces = trimesh.sample.sample_surface(oracle, 100_000, seed=0)
    samples = np.asarray(samples, dtype=np.float64)
    off = surface.signed_distance(samples)
    _, nearest = KDTree(mesh.vertices).query(samples)
    agreement = np.einsum("ij,ij->i", oracle.face_normals[faces], mesh.normals[nearest])
    logging.getLogger(__name__).info(
        f"{path.stem}, {len(positions)} atoms, spacing {spacing} Å: {seconds:.2f} s,"
        f" {len(mesh.vertices)} vertices, area {mesh.area:.0f} Å² (MSMS {oracle.area:.0f}),"
        f" volume {mesh.volume:.0f} Å³ (MSMS {oracle.volume:.0f}),"
        f" points of MSMS off by {off.mean():+.3f} Å, in size {np.abs(off).mean():.3f} Å,"
        f" 95 % {np.quantile(np.abs(off), 0.95):.3f} Å, normals {agreement.mean():.3f}"
    )
    assert trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).is_watertight
    # with the same radii and probe only the oracle's own remeshing to about 1 Å is left
    if not ours:
        assert np.abs(off).mean() < 0.15
        assert mesh.volume == pytest.approx(oracle.volume, rel=0.02)
