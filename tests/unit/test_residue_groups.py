"""Files whose residues are not runs of neighbouring lines lose no atom."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from moedsr.structures.ensemble import find_ensembles
from moedsr.structures.structure import Structure, load_structure

Lines = list[str]


def bundled(name: str) -> Path:
    return next(one for one in find_ensembles("mini-atlas") if one.name == name).topology


def atom_lines(name: str = "1l2y_A") -> Lines:
    return [line for line in bundled(name).read_text().splitlines() if line.startswith("ATOM")]


def is_hydrogen(line: str) -> bool:
    return line[12:16].strip().startswith("H")


def in_backbone(line: str) -> bool:
    return line[12:16].strip() in ("N", "CA", "C", "O", "H")


def hydrogens_last(lines: Lines) -> Lines:
    return sorted(lines, key=is_hydrogen)


def side_chains_last(lines: Lines) -> Lines:
    return sorted(lines, key=lambda line: not in_backbone(line))


def second_locations_last(lines: Lines) -> Lines:
    doubled = [line for line in lines if 5 <= int(line[22:26]) <= 9]
    first = [f"{line[:16]}A{line[17:]}" if line in doubled else line for line in lines]
    return first + [f"{line[:16]}B{line[17:54]}  0.40{line[60:]}" for line in doubled]


def without_chain(lines: Lines) -> Lines:
    return [f"{line[:21]} {line[22:]}" for line in lines]


def load(lines: Lines, folder: Path) -> Structure:
    path = folder / "one.pdb"
    path.write_text("\n".join([*lines, "END", ""]))
    return load_structure(path)


@pytest.mark.parametrize("scatter", [hydrogens_last, side_chains_last, second_locations_last])
@pytest.mark.parametrize("named", [True, False])
def test_a_residue_is_gathered_over_the_whole_model(
    tmp_path: Path, scatter: Callable[[Lines], Lines], named: bool
) -> None:
    lines = atom_lines()
    expected = load(lines, tmp_path)
    scattered = scatter(lines) if named else without_chain(scatter(lines))
    found = load(scattered, tmp_path)
    assert found.sequence == expected.sequence
    assert (len(found.elements), found.hydrogens) == (304, expected.hydrogens)
    atoms, others = (
        {(int(r), n): p for r, n, p in zip(s.residue_of_atom, s.atom_names, s.positions, strict=True)}
        for s in (expected, found)
    )
    assert atoms.keys() == others.keys()
    assert all(np.array_equal(others[key], place) for key, place in atoms.items())
    for place, line in zip(found.positions, np.array(scattered)[found.file_index], strict=True):
        assert place.tolist() == [float(line[30:38]), float(line[38:46]), float(line[46:54])]


@pytest.mark.parametrize("moved", [[1], [20], [7], [7, 8], [7, 12]])
def test_modified_residues_behind_ter_stay_in_their_chain(tmp_path: Path, moved: list[int]) -> None:
    lines = atom_lines()
    late = [f"HETATM{line[6:17]}MSE{line[20:]}" for line in lines if int(line[22:26]) in moved]
    free = [
        "HETATM  900  N   GLY A 900      90.000  90.000  90.000",
        "HETATM  901  CA  GLY A 900      91.000  90.000  90.0",
    ]
    free.append("HETATM  902  C   GLY A 900      92.000  90.000  90.000")
    kept = [line for line in lines if int(line[22:26]) not in moved]
    found = load([*kept, "TER", *late[::-1], *free], tmp_path)
    expected = list(load(lines, tmp_path).sequence)
    for number in moved:
        expected[number - 1] = "M"
    assert found.sequence == "".join(expected)
    assert len(found.elements) == 304


def test_a_number_that_repeats_is_another_residue(tmp_path: Path) -> None:
    lines = atom_lines()
    same = [f"{line[:22]}  52{line[26:]}" if 5 <= int(line[22:26]) <= 14 else line for line in lines]
    assert load(same, tmp_path).sequence == load(lines, tmp_path).sequence


def test_virtual_sites_are_left_out_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lines = atom_lines()
    site = f"{lines[150][:12]} MNZ{lines[150][16:54]}  1.00  0.00"
    with caplog.at_level(logging.WARNING):
        found = load([*lines[:150], site, *lines[150:]], tmp_path)
    assert (len(found.elements), found.file_atoms) == (304, 305)
    assert "left out: 1 virtual sites (MNZ)" in caplog.text
