"""Ensembles become the same store every time, once, or nothing."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from moedsr.config import PrepareConfig
from moedsr.errors import InputError
from moedsr.inference.models_file import write_models
from moedsr.store.conformation import conformation_surface
from moedsr.store.prepare import default_store_path, finish_store, prepare_protein, prepare_serially
from moedsr.store.protein_file import StoredProtein
from moedsr.structures.ensemble import Ensemble, find_ensembles
from moedsr.structures.structure import load_structure

SETTINGS = PrepareConfig(frames=4, surface_points=120, grid_spacing=0.8, occupancy_grid=24)


@pytest.fixture(scope="module")
def ensemble() -> Ensemble:
    return next(one for one in find_ensembles("mini-atlas") if one.name == "1l2y_A")


@pytest.fixture(scope="module")
def prepared(ensemble: Ensemble, tmp_path_factory: pytest.TempPathFactory) -> StoredProtein:
    folder = tmp_path_factory.mktemp("store")
    prepare_protein(ensemble, SETTINGS, folder)
    return StoredProtein(folder / "1l2y_A.safetensors", "1l2y_A", "train")


def test_first_frame_is_p0(prepared: StoredProtein, ensemble: Ensemble) -> None:
    structure = load_structure(ensemble.topology)
    assert prepared.times.tolist() == [-1.0, -0.5, 0.0, 0.5, 1.0]
    assert prepared.replicas.tolist() == [0, 1, 2, 3, 3]
    assert np.abs(prepared.frame_atoms(0) + prepared.centre - structure.positions).max() < 0.006
    assert prepared.sequence == structure.sequence
    assert prepared.elements == structure.elements
    assert not prepared.initial_is_frame  # minimised before the first frame
    assert prepared.residue_of_atom.tolist() == structure.residue_of_atom.tolist()
    assert prepared.span == pytest.approx(0.2376)  # ns
    assert prepared.residue_types.tolist() == structure.residue_types.tolist()


def test_p0_that_is_a_frame_is_known_as_one(ensemble: Ensemble, tmp_path: Path) -> None:
    """Models of one file: the first is P0, and where the dynamics starts."""
    structure = load_structure(ensemble.topology)
    (tmp_path / "models").mkdir()
    path = tmp_path / "models" / "models.pdb"
    write_models(path, structure, [structure.positions, structure.positions + 0.3])
    prepare_protein(find_ensembles(path)[0], SETTINGS, tmp_path)
    assert StoredProtein(tmp_path / "models.safetensors", "models", None).initial_is_frame


def test_frames_are_superposed_on_p0(prepared: StoredProtein, ensemble: Ensemble) -> None:
    ca = load_structure(ensemble.topology).ca_index
    initial = prepared.frame_atoms(0)[ca]
    for index in range(1, len(prepared)):
        moved = prepared.frame_atoms(index)[ca]
        assert np.abs(moved.mean(axis=0)).max() < 0.01
        assert 0.1 < np.sqrt(((moved - initial) ** 2).sum(-1).mean()) < 4


def test_points_and_occupancy_come_from_the_stored_atoms(prepared: StoredProtein, ensemble: Ensemble) -> None:
    structure = load_structure(ensemble.topology)
    for index in (0, 3):
        surface = conformation_surface(prepared.frame_atoms(index), structure, SETTINGS)
        expected = surface.occupancy(np.zeros(3), prepared.scale, 24)
        assert expected.any()
        assert np.array_equal(prepared.occupancy(index), expected)
        frame = prepared.frame(index)
        assert np.abs(surface.signed_distance(frame.points)).max() < 0.3
        assert np.allclose(np.linalg.norm(frame.normals, axis=1), 1, atol=1e-6)


def test_same_settings_give_the_same_bytes(prepared: StoredProtein, ensemble: Ensemble, tmp_path: Path) -> None:
    prepare_protein(ensemble, SETTINGS, tmp_path)
    assert (tmp_path / prepared.path.name).read_bytes() == prepared.path.read_bytes()


def test_a_point_takes_twelve_bytes_at_most(prepared: StoredProtein) -> None:
    stored = [prepared._slices[key] for key in ("points", "normals", "sigma")]
    bits = {"I16": 16, "I8": 8, "F16": 16}
    total = sum(np.prod(one.get_shape()) * bits[one.get_dtype()] // 8 for one in stored)
    assert total / (5 * 120) <= 12


def test_finished_protein_is_kept(prepared: StoredProtein, ensemble: Ensemble) -> None:
    before = prepared.path.stat().st_mtime_ns
    entry = prepare_protein(ensemble, SETTINGS, prepared.path.parent)
    assert prepared.path.stat().st_mtime_ns == before
    assert (entry.frames, entry.residues, entry.atoms, entry.replicas, entry.split) == (
        5,
        20,
        304,
        3,
        "train",
    )


@pytest.mark.parametrize("reason", ["settings", "trajectory", "damage"])
def test_protein_is_made_again_when_anything_differs(
    prepared: StoredProtein, ensemble: Ensemble, tmp_path: Path, reason: str
) -> None:
    target = tmp_path / "store" / "1l2y_A.safetensors"
    target.parent.mkdir()
    shutil.copy(prepared.path, target)
    settings = SETTINGS
    if reason == "settings":
        settings = SETTINGS.model_copy(update={"surface_points": 60})
    elif reason == "trajectory":
        ensemble = Ensemble(ensemble.name, ensemble.topology, ensemble.trajectories[:2])
    else:
        target.write_bytes(target.read_bytes()[:-50])
    prepare_protein(ensemble, settings, target.parent)
    again = StoredProtein(target, "1l2y_A", None)
    again.verify(settings)
    assert (target.read_bytes() == prepared.path.read_bytes()) == (reason == "damage")


def test_progress_is_told_after_each_frame(ensemble: Ensemble, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    prepare_protein(ensemble, SETTINGS, tmp_path, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_failure_leaves_nothing(ensemble: Ensemble, tmp_path: Path) -> None:
    content = ensemble.trajectories[2].read_bytes()
    (tmp_path / "bad.xtc").write_bytes(content[: len(content) - 100])
    broken = Ensemble("1l2y_A", ensemble.topology, (*ensemble.trajectories[:2], tmp_path / "bad.xtc"))
    with pytest.raises(InputError, match=r"bad\.xtc: is cut short in frame 100; the 99 whole"):
        prepare_protein(broken, SETTINGS, tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_heavy_atoms_alone(ensemble: Ensemble, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"hydrogens": False, "frames": 1})
    entry = prepare_protein(ensemble, settings, tmp_path, "val")
    protein = StoredProtein(tmp_path / "1l2y_A.safetensors", "1l2y_A", "val")
    assert (entry.atoms, entry.frames, entry.split) == (154, 2, "val")
    assert "H" not in protein.elements
    assert protein.frame_atoms(1).shape == (154, 3)


def test_replica_time_mode(ensemble: Ensemble, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"time_mode": "replica", "frames": 6, "surface_points": 20})
    prepare_protein(ensemble, settings, tmp_path)
    protein = StoredProtein(tmp_path / "1l2y_A.safetensors", "1l2y_A", None)
    assert protein.replicas.tolist() == [0, 1, 1, 2, 2, 3, 3]
    assert protein.times.tolist() == [-1, 0, 1, 0, 1, 0, 1]


def test_whole_source_at_once_and_unknown_names(tmp_path: Path) -> None:
    small = SETTINGS.model_copy(update={"frames": 1, "surface_points": 20})
    store = prepare_serially("mini-atlas", small, tmp_path, ["1l2y_A", "1vii_A"])
    assert store.names() == ["1l2y_A", "1vii_A"]
    assert store.names("test") == ["1vii_A"]
    with pytest.raises(InputError, match=r"mini-atlas: has no protein `1l2y` \(did you mean `1l2y_A`\?\)"):
        prepare_serially("mini-atlas", small, tmp_path, ["1l2y"])


def test_store_of_other_settings_is_not_overwritten(ensemble: Ensemble, tmp_path: Path) -> None:
    finish_store(tmp_path, SETTINGS, [prepare_protein(ensemble, SETTINGS, tmp_path)])
    other = SETTINGS.model_copy(update={"probe_radius": 1.5})
    with pytest.raises(InputError, match=r"was prepared with probe_radius 1\.4, but 1\.5 is wanted"):
        finish_store(tmp_path, other, [prepare_protein(ensemble, other, tmp_path / "aside")])
    with pytest.raises(InputError, match="a store needs at least one protein"):
        finish_store(tmp_path, SETTINGS, [])


def test_default_path_follows_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ensemble: Ensemble) -> None:
    monkeypatch.setenv("MOEDSR_CACHE", str(tmp_path))
    path = default_store_path("mini-atlas", SETTINGS)
    assert path == default_store_path("mini-atlas", SETTINGS)
    assert path.parent == tmp_path / "stores"
    assert path.name.startswith("mini-atlas-")
    assert path != default_store_path("mini-atlas", SETTINGS.model_copy(update={"frames": 5}))
    assert path != default_store_path(ensemble.topology.parent, SETTINGS)
    assert not path.exists()
    monkeypatch.delenv("MOEDSR_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_store_path("mini-atlas", SETTINGS).is_relative_to(tmp_path / ".cache" / "moedsr")
