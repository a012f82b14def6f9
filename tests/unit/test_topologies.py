"""The same protein from every format that names atoms."""

import gzip
import importlib.util
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from moedsr.errors import InputError
from moedsr.structures.ensemble import Ensemble, find_ensembles
from moedsr.structures.frame_plan import plan_frames
from moedsr.structures.structure import Structure, load_structure
from moedsr.structures.topologies import read_topology, stem
from moedsr.structures.trajectory import frame_count, initial_structure, read_frames

BOX = 40.0  # Å


def real_inputs(package: str) -> Path:
    """Data of an installed package, found without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        pytest.skip(f"needs the package {package}")
    return Path(spec.origin).parent / "data"


@pytest.fixture(scope="module")
def protein() -> Structure:
    return load_structure(next(one for one in find_ensembles("mini-atlas") if one.name == "1l2y_A").topology)


def rows(protein: Structure) -> list[tuple[int, str, str, int, np.ndarray]]:
    numbers = protein.residue_of_atom
    return [
        (i + 1, name, protein.residue_names[numbers[i]], int(numbers[i]) + 1, protein.positions[i])
        for i, name in enumerate(protein.atom_names)
    ]


def write_gro(path: Path, protein: Structure, *, water: bool = True) -> Path:
    lines = [
        f"{residue:5d}{residue_name:<5}{name:>5}{i:5d}" + "".join(f"{x / 10:8.3f}" for x in position)
        for i, name, residue_name, residue, position in rows(protein)
    ]
    if water:
        lines.append(f"{999:5d}{'SOL':<5}{'OW':>5}{len(lines) + 1:5d}{1:8.3f}{1:8.3f}{1:8.3f}")
    path.write_text("\n".join(["protein in water", str(len(lines)), *lines, f"{BOX / 10:10.5f}" * 3, ""]))
    return path


def write_cif(path: Path, protein: Structure) -> Path:
    keys = "group_PDB type_symbol label_atom_id label_comp_id label_asym_id auth_asym_id auth_seq_id Cartn_x Cartn_y"
    head = ["data_one", "loop_", *(f"_atom_site.{key}" for key in (*keys.split(), "Cartn_z", "pdbx_PDB_model_num"))]
    lines = [
        f"ATOM {element} {name} {residue_name} A Q {residue} " + " ".join(f"{x:.3f}" for x in position) + f" {model}"
        for model in (1, 2)
        for element, (_, name, residue_name, residue, position) in zip(protein.elements, rows(protein), strict=True)
    ]
    path.write_text("\n".join([*head, *lines, "#", ""]))
    return path


@pytest.mark.parametrize("packed", [False, True])
def test_gro_and_mmcif_hold_the_same_protein(protein: Structure, tmp_path: Path, packed: bool) -> None:
    for path in (write_gro(tmp_path / "one.gro", protein), write_cif(tmp_path / "one.cif", protein)):
        used = path
        if packed:
            used = path.with_name(f"{path.name}.gz")
            used.write_bytes(gzip.compress(path.read_bytes()))
        found = load_structure(used)
        assert stem(used) == "one"
        assert (found.sequence, found.elements, found.hydrogens) == (protein.sequence, protein.elements, 150)
        assert np.abs(found.positions - protein.positions).max() < 0.0051  # GRO keeps 0.01 Å
    assert load_structure(tmp_path / "one.cif").chain == "Q"  # as the authors named it
    assert load_structure(tmp_path / "one.gro").file_atoms == 305


def test_gro_broken_over_its_box_is_made_whole(protein: Structure, tmp_path: Path) -> None:
    wrapped = replace(protein, positions=np.mod(protein.positions, BOX))
    assert np.ptp(wrapped.positions, axis=0).max() > np.ptp(protein.positions, axis=0).max() + 5
    found = load_structure(write_gro(tmp_path / "one.gro", wrapped))
    steps = np.linalg.norm(np.diff(found.positions[found.ca_index], axis=0), axis=1)
    assert steps.max() < 4.2


def test_psf_takes_its_positions_from_the_first_frame(protein: Structure, tmp_path: Path) -> None:
    source = next(one for one in find_ensembles("mini-atlas") if one.name == "1l2y_A")
    lines = [
        f"{i:8d} {segment} {residue:<4d} {residue_name:<4} {name:<4} CT1 -0.3 12.011 0"
        for segment in ("PROT",)
        for i, name, residue_name, residue, _ in rows(protein)
    ]
    text = "\n".join(["PSF", "", f"{len(lines):8d} !NATOM", *lines, ""])
    (tmp_path / "one.psf").write_text(text)
    (tmp_path / "bare.psf").write_text(text.replace(" PROT ", " "))
    for name, chain in (("one.psf", "PROT"), ("bare.psf", "")):
        found = initial_structure(tmp_path / name, source.trajectories)
        assert (found.sequence, found.elements, found.chain) == (protein.sequence, protein.elements, chain)
        (first,) = read_frames(protein, source.trajectories[:1], plan_frames([1], 1, "concat"))
        spread = np.linalg.norm(found.positions - found.positions.mean(axis=0), axis=1)
        assert np.allclose(spread, np.linalg.norm(first.positions - first.positions.mean(axis=0), axis=1), atol=1e-3)
    with pytest.raises(InputError, match=r"one\.psf: names atoms but has no coordinates"):
        load_structure(tmp_path / "one.psf")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("one.gro", "title\nmany\n", r"is no GRO file; its second line must be the number of atoms$"),
        ("one.gro", "title\n0\n", r"holds no atom$"),
        ("one.gro", "title\n2\n    1ALA     CA    1   0.100   0.100   0.100\n", r"announces 2 atoms, but has 1"),
        ("one.gro", "title\n1\n    1ALA     CA    1     nan   0.100   0.100\n", r"one\.gro:3: .* must be finite$"),
        ("one.gro", "title\n1\n    xALA     CA    1   0.100   0.100   0.100\n", r"residue number `x` is no number"),
        ("one.psf", "nothing\n", r"is no PSF file"),
        ("one.psf", "PSF\n\n       2 !NATOM\n 1 P 1 ALA CA CT 0.0 12.0\n", r"announces 2 atoms, but has fewer"),
        ("one.psf", "PSF\n\n       1 !NATOM\n 1 P 1 ALA\n", r"one\.psf:4: .* has no segment, residue"),
        ("one.cif", "no mmCIF\n", r"one\.cif: (holds no atoms|cannot be read as mmCIF)"),
        ("one.cif", "data_x\n_atom_site.id 1\n", r"holds no atoms; an mmCIF file with _atom_site\.group_PDB"),
        ("one.xyz", "1\n\nC 0 0 0\n", r"is of no known format.*; a structure is one of \.pdb, "),
    ],
)
def test_wrong_content_is_told_in_one_line(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_topology(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


LIGAND = "HETATM  400  C1  HEX B   1       8.000   8.000   8.000  1.00  0.00           C"
IRON = "HETATM  402 FE   HEM D   1       9.000   9.000   8.000  1.00  0.00          FE"
CALCIUM = "HETATM  403 CA    CA E   1       9.000   9.000   9.000  1.00  0.00          CA"
ION = "HETATM  401 ZN    ZN C   1       9.000   8.000   8.000  1.00  0.00          ZN"


def test_ligands_come_on_request_alone(protein: Structure, tmp_path: Path) -> None:
    lines = protein.path.read_text().splitlines()
    atoms = [line for line in lines if line.startswith("ATOM")]
    path = tmp_path / "bound.pdb"
    path.write_text("\n".join([*atoms, "TER", LIGAND, ION, IRON, CALCIUM, "END", ""]))
    assert len(load_structure(path).elements) == 304
    bound = load_structure(path, ligands=["HEX", "ZN"])
    assert (len(bound.elements), bound.elements[-2:], bound.sequence) == (306, ("C", "Zn"), protein.sequence)
    assert load_structure(path, ligands=["HEM", "CA"]).elements[-2:] == ("Fe", "Ca")
    with pytest.raises(InputError, match=r"has no ligand `ATP`; besides protein it holds HEX, ZN, HEM, CA$"):
        load_structure(path, ligands=["ATP"])


def test_nucleic_acids_are_told(tmp_path: Path) -> None:
    line = "ATOM      1  P    DA A   1      20.000  20.000  20.000  1.00  0.00           P"
    (tmp_path / "dna.pdb").write_text(f"{line}\n")
    with pytest.raises(InputError, match=r"holds 1 nucleotides \(DA …\) but no protein; only proteins are modelled"):
        load_structure(tmp_path / "dna.pdb")


def ensemble(folder: Path, topology: Path, *trajectories: Path) -> Ensemble:
    """Real files in our layout."""
    own = folder / "one"
    own.mkdir(parents=True)
    (own / f"one{topology.suffix}").symlink_to(topology)
    for number, path in enumerate(trajectories, start=1):
        (own / f"one_R{number}{path.suffix}").symlink_to(path)
    (found,) = find_ensembles(own)
    return found


def rmsd(found: Ensemble, chains: list[str] | None = None, frames: int = 6) -> tuple[Structure, list[float]]:
    structure = initial_structure(found.topology, found.trajectories, chains)
    counts = [frame_count(path, structure) for path in found.trajectories]
    ca = structure.ca_index
    return structure, [
        float(np.sqrt(((frame.positions - structure.positions)[ca] ** 2).sum(-1).mean()))
        for frame in read_frames(structure, found.trajectories, plan_frames(counts, frames, "concat"))
    ]


def test_real_psf_and_dcd(tmp_path: Path) -> None:
    """Adenylate kinase, from closed to open; the header of the DCD claims 500 frames."""
    data = real_inputs("MDAnalysisTests")
    found = ensemble(tmp_path, data / "adk.psf", data / "adk_dims.dcd", data / "adk_dims2.dcd")
    structure, moved = rmsd(found)
    assert (len(structure.sequence), len(structure.elements), structure.hydrogens) == (214, 3341, 1685)
    assert [frame_count(path, structure) for path in found.trajectories] == [98, 102]
    assert set(structure.elements) == {"H", "C", "N", "O", "S"}
    assert 6 < max(moved) < 7.5


@pytest.mark.parametrize("trajectory", ["adk_oplsaa.xtc", "adk_oplsaa.trr"])
def test_real_gro_in_water_broken_over_its_box(tmp_path: Path, trajectory: str) -> None:
    data = real_inputs("MDAnalysisTests")
    structure, moved = rmsd(ensemble(tmp_path, data / "adk_oplsaa.gro", data / trajectory), frames=10)
    assert (structure.file_atoms, len(structure.elements), len(structure.sequence)) == (47681, 3341, 214)
    assert moved[0] < 0.02
    assert 1.0 < np.mean(moved[1:]) < 2.0  # equilibrium: nothing is in pieces


def test_real_models(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = real_inputs("MDAnalysisTests")
    with caplog.at_level(logging.WARNING):
        structure, moved = rmsd(ensemble(tmp_path, data / "nmr_neopetrosiamide.pdb"), frames=24)
    assert (len(structure.sequence), len(moved)) == (28, 24)
    assert moved[0] < 1e-6
    assert 0.5 < np.mean(moved[1:]) < 1.5


def test_real_complex_needs_a_choice(tmp_path: Path) -> None:
    data = real_inputs("prolif")
    found = ensemble(tmp_path, data / "top.pdb", data / "traj.xtc")
    with pytest.raises(InputError, match=r"holds 2 protein chains \(A, B\); choose with --chain"):
        rmsd(found)
    alone, moved = rmsd(found, ["B"])
    both, _ = rmsd(found, ["A", "B"])
    assert (len(alone.sequence), len(both.sequence), both.chain) == (90, 302, "A,B")
    assert max(moved) < 5
    assert len(load_structure(found.topology, "A", ligands=["LIG"]).elements) == 3445 + 79
