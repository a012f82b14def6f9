"""Files damaged at random, and what the readers make of them; run as a program, so that a crash is seen, not shared.

``python damaged_files.py FOLDER KIND FIRST COUNT`` works through the cases FIRST … FIRST + COUNT - 1 of one kind. It
prints the number of each case before it is read, so that the last line names one that crashes or hangs, and a line
``unclean NUMBER WHAT`` for each that ends neither in an InputError nor in a sound result.
"""

import shutil
import sys
from pathlib import Path

import numpy as np

from moedsr.errors import InputError
from moedsr.store.store import SurfaceStore, check_store
from moedsr.structures.ensemble import Ensemble
from moedsr.structures.frame_plan import PlannedFrame
from moedsr.structures.radii import bondi_radii
from moedsr.structures.structure import Structure, load_structure
from moedsr.structures.trajectory import frame_count, initial_structure, read_frames

TOPOLOGIES = ("pdb", "cif", "gro", "psf")
TRAJECTORIES = ("xtc", "trr", "dcd", "nc", "h5", "models.pdb")
STORE_FILES = ("manifest.json", "proteins.parquet", "1l2y_A.safetensors")
KINDS = (*TOPOLOGIES, *TRAJECTORIES, *STORE_FILES)


def damaged(content: bytes, random: np.random.Generator) -> bytes:
    """The content with one to four wounds; half of the files are wounded near their head, where headers are."""
    data = bytearray(content)
    for _ in range(random.integers(1, 5)):
        near_head = random.random() < 0.5
        place = int(random.integers(0, max(1, min(len(data), 400) if near_head else len(data))))
        length = int(random.integers(1, 9))
        match int(random.integers(0, 8)):
            case 0:
                data[place : place + 1] = bytes([int(random.integers(0, 256))])
            case 1:
                data[place : place + length] = random.bytes(length)
            case 2:
                del data[place:]
            case 3:
                del data[place : place + length]
            case 4:
                data[place:place] = random.bytes(length)
            case 5:
                data[place : place + length] = bytes([255 if random.random() < 0.5 else 0]) * length
            case 6:
                data[place:place] = data[place : place + 200]
            case _:
                data[place : place + 1] = b"0123456789-+.nN {}[]"[(k := int(random.integers(0, 20))) : k + 1]
    return bytes(data)


def read_ensemble(folder: Path, kind: str, file: Path) -> None:
    """Structure and frames, with either of them damaged."""
    if kind in TOPOLOGIES:
        structure = initial_structure(file, [folder / "sound.xtc"])
        sound(structure)
        return
    structure = load_structure(folder / "sound.pdb")
    count = frame_count(file, structure, keep_truncated=True)
    plan = [PlannedFrame(1, index, 0.0) for index in range(min(count, 20))]
    for frame in read_frames(structure, [file], plan):
        assert frame.positions.shape == structure.positions.shape
        assert np.isfinite(frame.positions).all()
    Ensemble("one", file, (file,)).digest()


def sound(structure: Structure) -> None:
    atoms = len(structure.elements)
    assert structure.positions.shape == (atoms, 3)
    assert np.isfinite(structure.positions).all()
    assert len(bondi_radii(structure.elements)) == atoms == len(structure.residue_of_atom)
    assert len(structure.sequence) == len(structure.ca_index) > 0


def read_store(original: Path, copy: Path) -> None:
    """A store that opens is read; one that also passes the check holds what was written."""
    store = SurfaceStore.open(copy)
    for name in store.names():
        protein = store.protein(name)
        for index in range(len(protein)):
            assert protein.frame(index).points.ndim == 2
            assert protein.occupancy(index).ndim == 3
            assert protein.frame_atoms(index).ndim == 2
        assert len(protein.elements) == len(protein.atom_positions)
        assert len(protein.residue_positions) == len(protein.residue_types)
    check_store(copy)
    truth = SurfaceStore.open(original)
    for name in store.names():
        expected, found = truth.protein(name), store.protein(name)
        assert np.array_equal(expected.frame(1).points, found.frame(1).points)


def examine(folder: Path, kind: str, number: int) -> None:
    """One case; returns where it ended well or in an InputError."""
    random = np.random.default_rng([number, KINDS.index(kind)])
    scratch = folder / f"scratch_{kind}_{number}"
    try:
        if kind in STORE_FILES:
            shutil.copytree(folder / "store", scratch)
            (scratch / kind).write_bytes(damaged((scratch / kind).read_bytes(), random))
            read_store(folder / "store", scratch)
        else:
            scratch.mkdir()
            file = scratch / f"damaged.{kind.split('.')[-1]}"
            file.write_bytes(damaged((folder / f"sound.{kind}").read_bytes(), random))
            read_ensemble(folder, kind, file)
    except InputError as error:
        if str(scratch) not in str(error) or "\n" in str(error):
            raise ValueError(f"not one line that names the file: {error}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def main(folder: str, kind: str, first: str, count: str) -> None:
    for number in range(int(first), int(first) + int(count)):
        say(number)
        try:
            examine(Path(folder), kind, number)
        except Exception as error:
            say("unclean", number, type(error).__name__, " ".join(str(error).split())[:300])


if __name__ == "__main__":
    main(*sys.argv[1:])
