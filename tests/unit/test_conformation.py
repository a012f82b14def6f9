"""P0 and its surface, as the store and a prediction see them."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from moedsr.config import PrepareConfig
from moedsr.geometry.mesh import Mesh
from moedsr.geometry.surface import solvent_excluded_surface
from moedsr.store.conformation import InitialConformation, local_spread, sample_surface
from moedsr.structures.ensemble import find_ensembles
from moedsr.structures.structure import Structure, load_structure

SETTINGS = PrepareConfig(surface_points=400, grid_spacing=0.7)


@pytest.fixture(scope="module")
def structure() -> Structure:
    return load_structure(next(one for one in find_ensembles("mini-atlas") if one.name == "1l2y_A").topology)


@pytest.fixture(scope="module")
def initial(structure: Structure) -> InitialConformation:
    return InitialConformation.of(structure, SETTINGS, "1l2y_A")


def sphere(radius: float, spacing: float) -> Mesh:
    return solvent_excluded_surface(np.zeros((1, 3)), np.array([radius]), spacing=spacing).mesh()


def test_centre_is_the_mean_ca_and_scale_leaves_a_quarter(initial: InitialConformation, structure: Structure) -> None:
    assert np.allclose(initial.centre, structure.positions[structure.ca_index].mean(axis=0))
    assert np.abs(initial.residue_positions.mean(axis=0)).max() < 0.01
    assert np.linalg.norm(initial.mesh.vertices, axis=1).max() * 1.25 == pytest.approx(initial.scale)
    assert np.abs(initial.atom_positions + initial.centre - structure.positions).max() < 0.006


def test_scale_does_not_depend_on_how_the_protein_lies(initial: InitialConformation, structure: Structure) -> None:
    turn = Rotation.random(random_state=3).as_matrix()
    moved = Structure(**{**structure.__dict__, "positions": structure.positions @ turn.T + 40.0})
    assert InitialConformation.of(moved, SETTINGS, "1l2y_A").scale == pytest.approx(initial.scale, rel=5e-3)


def test_samples_lie_on_the_surface_and_normals_point_out(initial: InitialConformation) -> None:
    points = initial.frame.points.astype(np.float64)
    distance = initial.surface.signed_distance(points)
    assert np.abs(distance).max() < 0.25
    assert np.abs(distance).mean() < 0.005
    assert (initial.surface.signed_distance(points + 0.8 * initial.frame.normals) > distance).mean() > 0.99


def test_samples_follow_name_and_frame_alone(initial: InitialConformation) -> None:
    again = sample_surface(initial.surface, initial.mesh, 400, "1l2y_A", 0)
    assert np.array_equal(again.points, initial.frame.points)
    for name, frame in (("1l2y_A", 1), ("1l2y_B", 0)):
        assert not np.array_equal(sample_surface(initial.surface, initial.mesh, 400, name, frame).points, again.points)


def test_hydrogens_are_optional(structure: Structure) -> None:
    heavy = InitialConformation.of(structure, SETTINGS.model_copy(update={"hydrogens": False}), "1l2y_A")
    assert "H" not in heavy.structure.elements
    assert len(heavy.atom_positions) == len(heavy.structure.elements) == 154
    assert len(heavy.residue_positions) == 20


def test_spread_is_the_radius_of_fifty_neighbours_whatever_the_grid() -> None:
    """On a sphere the k nearest of k/ρA lie in a cap of area πs²: s = sqrt(50 / (1.5 π)) Å."""
    expected = np.sqrt(50 / (1.5 * np.pi))
    for spacing in (0.3, 0.5, 0.8):
        mesh = sphere(8.0, spacing)
        points, _ = mesh.sample(300, np.random.default_rng(0))
        assert local_spread(mesh, points).mean() == pytest.approx(expected, rel=0.05)


def test_spread_does_not_depend_on_the_samples(initial: InitialConformation) -> None:
    few, many = (sample_surface(initial.surface, initial.mesh, count, "1l2y_A", 0).sigma for count in (100, 3000))
    assert few.mean() == pytest.approx(many.mean(), rel=0.1)
    assert few.min() >= 0.5
    assert many.max() <= 6.0


def test_spread_is_clamped() -> None:
    points = sphere(1.0, 0.2).vertices
    tiny = Mesh(points * 0.01, sphere(1.0, 0.2).faces, sphere(1.0, 0.2).normals)
    assert np.array_equal(local_spread(tiny, tiny.vertices), np.full(len(points), 0.5))


def test_any_pdb_file_becomes_a_conformation(tmp_path: Path, structure: Structure) -> None:
    lines = [text for text in structure.path.read_text().splitlines() if text.startswith("ATOM")]
    bare = [text[:21] + " " + text[22:54] for text in lines if not text[12:16].strip().startswith("H")]
    path = tmp_path / "bare.pdb"
    path.write_text("\n".join(bare))
    initial = InitialConformation.of(load_structure(path), SETTINGS, "bare")
    assert initial.structure.elements == structure.without_hydrogens().elements
    assert len(initial.frame.points) == 400
