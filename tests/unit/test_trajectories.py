"""Every trajectory format gives the frames that were written, and tells what is wrong with a file."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import h5py
import mdtraj
import numpy as np
import pytest
from mdtraj.formats import DCDTrajectoryFile, NetCDFTrajectoryFile, TRRTrajectoryFile, XTCTrajectoryFile
from numpy.typing import NDArray

from moedsr.errors import InputError
from moedsr.structures.ensemble import find_ensembles
from moedsr.structures.periodic_box import cell_vectors
from moedsr.structures.trajectories import TRAJECTORIES, open_trajectory

Positions = NDArray[np.float64]
Write = Callable[[Path, Positions], None]

LENGTHS, ANGLES = (31.0, 42.0, 53.0), (80.0, 95.0, 105.0)
ATOMS, FRAMES = 12, 5


def repeated(values: tuple[float, ...], frames: Positions) -> NDArray[np.float32]:
    return np.repeat(np.array(values, dtype=np.float32)[None], len(frames), axis=0)


def boxes(frames: Positions) -> NDArray[np.float32]:
    return np.repeat(cell_vectors(LENGTHS, ANGLES)[None].astype(np.float32) / 10, len(frames), axis=0)


def write_xtc(path: Path, frames: Positions) -> None:
    with XTCTrajectoryFile(str(path), "w") as file:
        file.write((frames / 10).astype(np.float32), box=boxes(frames))


def write_trr(path: Path, frames: Positions) -> None:
    with TRRTrajectoryFile(str(path), "w") as file:
        file.write((frames / 10).astype(np.float32), box=boxes(frames))


def write_dcd(path: Path, frames: Positions) -> None:
    with DCDTrajectoryFile(str(path), "w") as file:
        file.write(frames.astype(np.float32), repeated(LENGTHS, frames), repeated(ANGLES, frames))


def write_netcdf(path: Path, frames: Positions) -> None:
    with pytest.warns(UserWarning, match="netCDF4"), NetCDFTrajectoryFile(str(path), "w") as file:
        file.write(
            frames.astype(np.float32),
            cell_lengths=repeated(LENGTHS, frames),
            cell_angles=repeated(ANGLES, frames),
        )


def write_hdf5(path: Path, frames: Positions) -> None:
    with h5py.File(path, "w") as file:
        file["coordinates"] = (frames / 10).astype(np.float32)
        file["coordinates"].attrs["units"] = np.bytes_("nanometers")
        file["cell_lengths"] = repeated(LENGTHS, frames) / 10
        file["cell_angles"] = repeated(ANGLES, frames)


def write_netcdf4(path: Path, frames: Positions) -> None:
    """As AMBER writes where NetCDF 4 is asked for."""
    with h5py.File(path, "w") as file:
        file["coordinates"] = frames.astype(np.float32)
        file["coordinates"].attrs["units"] = "angstrom"
        file["cell_lengths"], file["cell_angles"] = repeated(LENGTHS, frames), repeated(ANGLES, frames)


def write_h5md(path: Path, frames: Positions) -> None:
    with h5py.File(path, "w") as file:
        positions = file.create_dataset("particles/trajectory/position/value", data=frames.astype(np.float32))
        positions.attrs["unit"] = "Angstrom"
        file["particles/trajectory/box/edges/value"] = boxes(frames) * 10


def write_models(path: Path, frames: Positions) -> None:
    lines = []
    for number, frame in enumerate(frames, start=1):
        lines.append(f"MODEL {number:8d}")
        for index, (x, y, z) in enumerate(frame, start=1):
            lines.append(f"ATOM  {index:5d}  CA  ALA A{index:4d}    {x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00           C")
        lines.append("ENDMDL")
    path.write_text("\n".join([*lines, "END", ""]))


def write_packed_models(path: Path, frames: Positions) -> None:
    write_models(path, frames)
    path.write_bytes(gzip.compress(path.read_bytes()))


WRITERS: dict[str, Write] = {
    ".xtc": write_xtc,
    ".trr": write_trr,
    ".dcd": write_dcd,
    ".nc": write_netcdf,
    ".ncdf": write_netcdf,
    ".netcdf": write_netcdf,
    ".h5": write_hdf5,
    ".hdf5": write_hdf5,
    ".h5md": write_h5md,
    ".pdb": write_models,
}
OTHERS: dict[str, Write] = {"4.nc": write_netcdf4, "packed.pdb.gz": write_packed_models}
"""Of the same suffixes."""


@pytest.fixture
def frames() -> Positions:
    return np.random.default_rng(0).uniform(-90, 90, (FRAMES, ATOMS, 3))


@pytest.fixture(params=sorted([*WRITERS, *OTHERS]))
def path(request: pytest.FixtureRequest, tmp_path: Path, frames: Positions) -> Path:
    one = tmp_path / f"one{request.param}"
    (WRITERS | OTHERS)[request.param](one, frames)
    return one


def test_every_format_is_tested() -> None:
    assert set(WRITERS) == set(TRAJECTORIES)


def test_frames_come_back_in_any_order(path: Path, frames: Positions) -> None:
    with open_trajectory(path) as file:
        assert (file.frames, file.atoms, file.cut) == (FRAMES, ATOMS, False)
        for index in (0, 3, 4, 1):
            assert np.abs(file.read(index).positions - frames[index]).max() < 0.006  # XTC keeps 0.01 Å


def test_box_comes_back(path: Path) -> None:
    with open_trajectory(path) as file:
        box = file.read(2).box
    if ".pdb" in path.suffixes:
        assert box is None
    else:
        assert box is not None
        assert np.allclose(box, cell_vectors(LENGTHS, ANGLES), atol=1e-3)


def test_a_cut_file_keeps_its_whole_frames_or_is_told(path: Path, frames: Positions) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * 0.7)])
    # their heads say how long they are
    if path.suffix in (".nc", ".ncdf", ".netcdf", ".h5", ".hdf5", ".h5md", ".gz"):
        with pytest.raises(InputError, match=rf"one.*\{path.suffix}: cannot be read as"):
            open_trajectory(path)
        return
    with open_trajectory(path) as file:
        assert 0 < file.frames < FRAMES
        assert file.cut
        assert np.abs(file.read(file.frames - 1).positions - frames[file.frames - 1]).max() < 0.006


@pytest.mark.parametrize("content", [b"", b"x", b"no trajectory at all " * 30])
def test_what_is_no_trajectory_is_told_in_one_line(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"one.*\{path.suffix}: (holds no|cannot be read as)") as caught:
        open_trajectory(path)
    assert "\n" not in str(caught.value)


def test_missing_files_and_unknown_formats_are_told(tmp_path: Path) -> None:
    for ending in WRITERS:
        with pytest.raises(InputError, match=rf"none\{ending}: does not exist$"):
            open_trajectory(tmp_path / f"none{ending}")
    with pytest.raises(InputError, match=r"is of no known format \(did you mean `\.xtc`\?\); a trajectory is one of"):
        open_trajectory(tmp_path / "none.xt")


@pytest.mark.parametrize("atoms", [3, 9, 10])
def test_small_molecules_are_written_without_compression(tmp_path: Path, atoms: int) -> None:
    frames = np.random.default_rng(1).uniform(0, 20, (3, atoms, 3))
    write_xtc(tmp_path / "small.xtc", frames)
    with open_trajectory(tmp_path / "small.xtc") as file:
        assert (file.frames, file.atoms) == (3, atoms)
        assert np.abs(file.read(2).positions - frames[2]).max() < 0.006


# what the library's decoder would follow out of its memory: place in the first frame's header, value
@pytest.mark.parametrize(
    ("place", "value"),
    [(4, -1), (4, 2**31 - 1), (52, 11), (56, 0), (72, -(2**31)), (84, 0), (84, 500), (88, 2**31 - 1), (88, -5)],
)
def test_damaged_xtc_headers_never_reach_the_decoder(tmp_path: Path, frames: Positions, place: int, value: int) -> None:
    write_xtc(tmp_path / "one.xtc", frames)
    content = bytearray((tmp_path / "one.xtc").read_bytes())
    content[place : place + 4] = struct.pack(">i", value)
    (tmp_path / "one.xtc").write_bytes(content)
    with pytest.raises(InputError, match=r"one\.xtc: cannot be read as an XTC trajectory: .*frame 1"):
        open_trajectory(tmp_path / "one.xtc")


def test_dcd_counts_frames_itself_in_either_byte_order(tmp_path: Path, frames: Positions) -> None:
    write_dcd(tmp_path / "one.dcd", frames)
    content = bytearray((tmp_path / "one.dcd").read_bytes())
    content[8:12] = struct.pack("<i", 500)  # written before the simulation, never put right
    (tmp_path / "one.dcd").write_bytes(content)
    with open_trajectory(tmp_path / "one.dcd") as file:
        assert file.frames == FRAMES
        start, size = file._start, file._size  # type: ignore[attr-defined]
    titles = content[96 : start - 20]
    words = np.frombuffer(content, "<i4", start // 4).astype(">i4").tobytes()
    other = bytearray(words[:4] + b"CORD" + words[8:96] + titles + words[start - 20 :])
    other[92:100] = words[92:100]
    for index in range(FRAMES):
        frame = content[start + index * size : start + (index + 1) * size]
        other += np.frombuffer(frame[:4], "<i4").astype(">i4").tobytes()
        other += np.frombuffer(frame[4:52], "<f8").astype(">f8").tobytes()
        other += np.frombuffer(frame[52:], "<f4").byteswap().tobytes()
    (tmp_path / "other.dcd").write_bytes(other)
    with open_trajectory(tmp_path / "other.dcd") as file:
        assert np.abs(file.read(4).positions - frames[4]).max() < 1e-4


def test_dcd_with_fixed_atoms_agrees_with_the_library(tmp_path: Path, frames: Positions) -> None:
    """All atoms stand in the first frame, the free ones alone in those after it."""
    write_dcd(tmp_path / "one.dcd", frames)
    with open_trajectory(tmp_path / "one.dcd") as file:
        start, size = file._start, file._size  # type: ignore[attr-defined]
    content = (tmp_path / "one.dcd").read_bytes()
    free = np.array([1, 4, 5, 11], dtype="<i4")
    head = bytearray(content[:start])
    head[8 + 4 * 8 : 12 + 4 * 8] = struct.pack("<i", ATOMS - len(free))

    def record(data: bytes) -> bytes:
        return struct.pack("<i", len(data)) + data + struct.pack("<i", len(data))

    parts = [bytes(head), record((free + 1).tobytes()), content[start : start + size]]
    for index in range(1, FRAMES):
        parts.append(content[start + index * size : start + index * size + 56])
        parts += [record(frames[index, free, axis].astype("<f4").tobytes()) for axis in range(3)]
    (tmp_path / "fixed.dcd").write_bytes(b"".join(parts))
    with DCDTrajectoryFile(str(tmp_path / "fixed.dcd")) as library:
        expected = library.read()[0]
    with open_trajectory(tmp_path / "fixed.dcd") as file:
        assert (file.frames, file.atoms, file.cut) == (FRAMES, ATOMS, False)
        for index in (3, 0, 4):
            frame = file.read(index)
            assert np.array_equal(frame.positions, expected[index])
            assert frame.box is not None
            assert np.allclose(frame.positions[free], frames[index, free], atol=1e-5)
    (tmp_path / "fixed.dcd").write_bytes(b"".join(parts)[:-9])
    with open_trajectory(tmp_path / "fixed.dcd") as file:
        assert (file.frames, file.cut) == (FRAMES - 1, True)
    parts[1] = record((free + ATOMS).tobytes())
    (tmp_path / "fixed.dcd").write_bytes(b"".join(parts))
    with pytest.raises(InputError, match=r"its list of atoms that are not fixed is damaged"):
        open_trajectory(tmp_path / "fixed.dcd")


def test_packed_trajectories_are_told(tmp_path: Path, frames: Positions) -> None:
    write_xtc(tmp_path / "one.xtc", frames)
    (tmp_path / "one.xtc.gz").write_bytes(gzip.compress((tmp_path / "one.xtc").read_bytes()))
    with pytest.raises(InputError, match=r"one\.xtc\.gz: is packed; of trajectories only PDB models are read so"):
        open_trajectory(tmp_path / "one.xtc.gz")


def test_models_of_other_length_are_told(tmp_path: Path) -> None:
    line = "ATOM      1  CA  ALA A   1       0.000   0.000   0.000  1.00  0.00           C\n"
    (tmp_path / "one.pdb").write_text(f"MODEL 1\n{line}ENDMDL\nMODEL 2\n{line}{line}ENDMDL\n")
    with pytest.raises(InputError, match=r"model 2 has 2 atoms, but must have the 1 of the first"):
        open_trajectory(tmp_path / "one.pdb")


def test_xtc_agrees_with_the_library_on_a_real_file() -> None:
    ensemble = next(one for one in find_ensembles("mini-atlas") if one.name == "1ppe_I")
    expected = mdtraj.load(str(ensemble.trajectories[0]), top=str(ensemble.topology))
    with open_trajectory(ensemble.trajectories[0]) as file:
        assert (file.frames, file.atoms) == (expected.n_frames, expected.n_atoms)
        assert np.allclose(file.read(57).positions, expected.xyz[57] * 10)
