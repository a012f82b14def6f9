"""Frames come out whole and superposed, or not at all."""

from pathlib import Path

import mdtraj
import numpy as np
import pytest
from mdtraj.formats import XTCTrajectoryFile
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from moedsr.errors import InputError
from moedsr.structures.ensemble import Ensemble, find_ensembles
from moedsr.structures.frame_plan import PlannedFrame, plan_frames
from moedsr.structures.structure import Structure
from moedsr.structures.trajectory import _bonds, frame_count, load_structure, read_frames, time_span

ATLAS_SAMPLE = Path(__file__).parents[3] / "shared" / "data" / "atlas_sample"
ORTHOGONAL = np.diag([30.0, 34.0, 38.0])
TRICLINIC = np.array([[34.0, 0.0, 0.0], [8.0, 33.0, 0.0], [-6.0, 9.0, 32.0]])

Positions = NDArray[np.float64]


@pytest.fixture(scope="module")
def ensemble() -> Ensemble:
    return next(one for one in find_ensembles("mini-atlas") if one.name == "1l2y_A")


@pytest.fixture(scope="module")
def structure(ensemble: Ensemble) -> Structure:
    return load_structure(ensemble.topology)


def write(path: Path, frames: Positions, box: Positions | None = None) -> Path:
    """An XTC of frames (F, N, 3) in Å."""
    cells = None if box is None else np.repeat(box[None] / 10, len(frames), axis=0).astype(np.float32)
    with XTCTrajectoryFile(str(path), "w") as file:
        file.write((frames / 10).astype(np.float32), time=np.arange(len(frames), dtype=np.float32), box=cells)
    return path


def read(structure: Structure, path: Path) -> Positions:
    plan = [PlannedFrame(1, index, 0.0) for index in range(frame_count(path, structure))]
    return np.stack([frame.positions for frame in read_frames(structure, [path], plan)])


def test_frames_equal_those_of_mdtraj(ensemble: Ensemble, structure: Structure) -> None:
    plan = plan_frames([frame_count(path, structure) for path in ensemble.trajectories], 6, "concat")
    initial = mdtraj.load_pdb(str(ensemble.topology))
    ca = initial.topology.select("name CA")
    frames = list(read_frames(structure, ensemble.trajectories, plan))
    assert [(frame.replica, frame.time) for frame in frames] == [(one.replica, one.time) for one in plan]
    for frame, planned in zip(frames, plan, strict=True):
        path = str(ensemble.trajectories[planned.replica - 1])
        expected = mdtraj.load_frame(path, planned.index, top=initial.topology)
        expected.superpose(initial, atom_indices=ca)
        assert np.abs(frame.positions - expected.xyz[0] * 10).max() < 2e-3


def test_the_time_span_is_that_of_the_longest_replica(structure: Structure, tmp_path: Path) -> None:
    for name, times in (("a", [0.0, 50.0]), ("b", [100.0, 220.0]), ("c", [0.0, 0.0])):
        frames = np.stack([structure.positions] * 2) / 10
        with XTCTrajectoryFile(str(tmp_path / f"{name}.xtc"), "w") as file:
            file.write(frames, time=np.array(times))
    paths = {name: tmp_path / f"{name}.xtc" for name in "abc"}
    assert time_span([paths["a"], paths["b"]]) == pytest.approx(0.12)
    assert time_span([paths["a"], paths["c"]]) is None


def test_rigid_motion_is_removed(structure: Structure, tmp_path: Path) -> None:
    turns = Rotation.random(5, random_state=0).as_matrix()
    moved = structure.positions @ turns.transpose(0, 2, 1) + np.arange(5)[:, None, None] * 7.0
    # 0.005 Å is what XTC keeps of a coordinate
    assert np.abs(read(structure, write(tmp_path / "turned.xtc", moved)) - structure.positions).max() < 0.02


@pytest.mark.parametrize("box", [ORTHOGONAL, TRICLINIC], ids=["orthogonal", "triclinic"])
def test_molecule_cut_by_the_box_is_made_whole(structure: Structure, tmp_path: Path, box: Positions) -> None:
    shifts = np.random.default_rng(0).uniform(-100, 100, (8, 1, 3))
    moved = structure.positions + shifts
    wrapped = moved - np.floor(moved @ np.linalg.inv(box)) @ box
    cut = np.ptp(wrapped, axis=1) > np.ptp(structure.positions, axis=0) + 1
    assert cut.any(axis=1).sum() >= 4  # else nothing is tested
    assert np.abs(read(structure, write(tmp_path / "cut.xtc", wrapped, box)) - structure.positions).max() < 0.02


def test_whole_molecule_turned_against_its_box_stays(structure: Structure, tmp_path: Path) -> None:
    """As in fitted archives, where the molecule was turned but the box was not."""
    turned = structure.positions @ Rotation.from_euler("xyz", [40, 50, 60], degrees=True).as_matrix().T
    path = write(tmp_path / "fit.xtc", turned[None], ORTHOGONAL)
    assert np.abs(read(structure, path)[0] - structure.positions).max() < 0.02


def test_molecule_in_pieces_without_a_box_is_refused(structure: Structure, tmp_path: Path) -> None:
    frames = np.repeat(structure.positions[None], 3, axis=0)
    frames[2, 150:] += 30.0
    with pytest.raises(
        InputError,
        match=r"cut\.xtc: frame 3 has a bond of \d\d\.\d Å \(C of residue 8 to N of residue 9\), at most 3 Å",
    ):
        read(structure, write(tmp_path / "cut.xtc", frames))


def test_exploding_coordinates_are_refused(structure: Structure, tmp_path: Path) -> None:
    frames = np.repeat(structure.positions[None], 2, axis=0)
    frames[1] *= 40
    with pytest.raises(InputError, match=r"hot\.xtc: frame 2 has a bond of .* look whether the simulation exploded"):
        read(structure, write(tmp_path / "hot.xtc", frames))


def test_molecule_in_pieces_after_repair_is_refused(structure: Structure, tmp_path: Path) -> None:
    """Half of it shifted by what is no vector of the box."""
    frames = np.repeat(structure.positions[None], 2, axis=0)
    frames[1, 150:] += [11.0, 0.0, 0.0]
    with pytest.raises(InputError, match=r"cut\.xtc: frame 2 has a bond of .*make the molecule whole"):
        read(structure, write(tmp_path / "cut.xtc", frames, ORTHOGONAL))


def test_heavy_atoms_are_picked_from_all(ensemble: Ensemble, structure: Structure) -> None:
    plan = [PlannedFrame(1, 4, 0.5)]
    heavy = structure.without_hydrogens()
    (whole,) = read_frames(structure, ensemble.trajectories, plan)
    (part,) = read_frames(heavy, ensemble.trajectories, plan)
    assert np.allclose(part.positions, whole.positions[heavy.file_index])


def test_atom_counts_must_agree(structure: Structure, tmp_path: Path) -> None:
    path = write(tmp_path / "other.xtc", structure.positions[None, :300])
    with pytest.raises(InputError, match=r"other\.xtc: has 300 atoms a frame, but must have the 304 of .*1l2y_A\.pdb$"):
        frame_count(path, structure)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"one\.xtc: does not exist$"),
        (b"", r"one\.xtc: holds no frame$"),
        (b"not a trajectory" * 20, r"one\.xtc: cannot be read as an XTC trajectory: .*$"),
    ],
)
def test_unreadable_trajectory_is_told(
    structure: Structure, tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "one.xtc"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        frame_count(path, structure)


def test_truncated_trajectory_is_told_and_its_whole_frames_kept_on_request(
    structure: Structure, tmp_path: Path
) -> None:
    frames = structure.positions + np.random.default_rng(0).normal(0, 0.1, (4, *structure.positions.shape))
    path = write(tmp_path / "one.xtc", frames)
    whole = read(structure, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * 0.6)])
    with pytest.raises(InputError, match=r"one\.xtc: is cut short in frame 3; the 2 whole frames before it are used"):
        frame_count(path, structure)
    assert frame_count(path, structure, keep_truncated=True) == 2
    plan = [PlannedFrame(1, index, 0.0) for index in range(2)]
    kept = np.stack([frame.positions for frame in read_frames(structure, [path], plan)])
    assert np.array_equal(kept, whole[:2])
    path.write_bytes(content[: int(len(content) * 0.2)])
    with pytest.raises(InputError, match=r"one\.xtc: holds no whole frame$"):
        frame_count(path, structure, keep_truncated=True)


def test_coordinates_that_are_not_finite_are_told(tmp_path: Path) -> None:
    small = tmp_path / "gly.pdb"
    small.write_text(
        "ATOM      1  N   GLY A   1       0.000   0.000   0.000  1.00  0.00           N\n"
        "ATOM      2  CA  GLY A   1       1.450   0.000   0.000  1.00  0.00           C\n"
        "ATOM      3  C   GLY A   1       2.000   1.400   0.000  1.00  0.00           C\n"
    )
    structure = load_structure(small)
    frames = np.repeat(structure.positions[None], 2, axis=0)
    frames[1, 2, 0] = np.nan  # XTC writes molecules as small as this uncompressed, so NaN survives
    with pytest.raises(InputError, match=r"nan\.xtc: frame 2 holds coordinates that are not finite"):
        read(structure, write(tmp_path / "nan.xtc", frames))


@pytest.mark.skipif(not ATLAS_SAMPLE.exists(), reason="the ATLAS sample may not be distributed")
def test_real_atlas_entry_is_read() -> None:
    (ensemble,) = find_ensembles(ATLAS_SAMPLE)
    structure = load_structure(ensemble.topology)
    frames = read(structure, ensemble.trajectories[0])
    shift = np.sqrt(((frames - structure.positions)[:, structure.ca_index] ** 2).sum(-1).mean(-1))
    assert len(frames) == 16
    assert shift[0] < 0.02  # the archive's first frame is P0
    assert 0.3 < shift[1:].mean() < 2.0


def test_contacts_are_no_bonds() -> None:
    structure = load_structure(next(one for one in find_ensembles("mini-atlas") if one.name == "1crn_A").topology)
    names = np.array(structure.atom_names)[_bonds(structure)]
    owner = structure.residue_of_atom[_bonds(structure)]
    between = {tuple(sorted(pair)) for pair in names[owner[:, 0] != owner[:, 1]].tolist()}
    assert between == {("C", "N"), ("SG", "SG")}
    assert (names == "SG").all(axis=1).sum() == 3  # crambin's disulfides
    # an acid's oxygen put right beside an amide's hydrogen of another residue
    oxygen = next(i for i, name in enumerate(structure.atom_names) if name == "OD1")
    far = structure.residue_of_atom != structure.residue_of_atom[oxygen]
    hydrogen = int(np.flatnonzero(far & (np.array(structure.elements) == "H"))[-1])
    structure.positions[oxygen] = structure.positions[hydrogen] + [1.0, 0.0, 0.0]
    assert not (np.sort(_bonds(structure), axis=1) == sorted((oxygen, hydrogen))).all(axis=1).any()
