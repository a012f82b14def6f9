"""Protein chains from PDB files as users bring them."""

import gzip
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from moedsr.errors import InputError
from moedsr.structures.ensemble import find_ensembles
from moedsr.structures.structure import load_structure

Writer = Callable[[list[str]], Path]

# name, position: one alanine without side-chain hydrogens
ALANINE = [("N", 0.0), ("CA", 1.4), ("C", 2.8), ("O", 4.0), ("CB", 1.9)]


def line(
    name: str,
    residue: str = "ALA",
    number: int = 1,
    x: float | str = 0.0,
    *,
    kind: str = "ATOM",
    chain: str = "A",
    element: str = "",
    alternate: str = " ",
    occupancy: float = 1.0,
) -> str:
    padded = f" {name:<3}" if len(name) < 4 else name
    first = f"{x:8.3f}" if isinstance(x, float) else f"{x:>8}"
    return (
        f"{kind:<6}{1:5d} {padded}{alternate}{residue:>3} {chain}{number:4d}    "
        f"{first}{float(number):8.3f}{0.0:8.3f}{occupancy:6.2f}{0.0:6.2f}          {element:>2}"
    )


def residue(number: int = 1, name: str = "ALA", *, chain: str = "A", kind: str = "ATOM") -> list[str]:
    return [line(atom, name, number, x, chain=chain, kind=kind, element=atom[0]) for atom, x in ALANINE]


@pytest.fixture
def written(tmp_path: Path) -> Writer:
    def write(lines: list[str]) -> Path:
        path = tmp_path / "one.pdb"
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


def test_bundled_protein_is_read_whole() -> None:
    (ensemble,) = [one for one in find_ensembles("mini-atlas") if one.name == "1l2y_A"]
    structure = load_structure(ensemble.topology)
    assert structure.sequence == "NLYIQWLKDGGPSSGRPPPS"
    assert len(structure.elements) == len(structure.positions) == structure.file_atoms == 304
    assert set(structure.elements) == {"H", "C", "N", "O"}
    assert [structure.atom_names[i] for i in structure.ca_index] == ["CA"] * 20
    assert structure.residue_of_atom[structure.ca_index].tolist() == list(range(20))


def test_without_hydrogens_keeps_the_links() -> None:
    (ensemble,) = [one for one in find_ensembles("mini-atlas") if one.name == "1l2y_A"]
    whole = load_structure(ensemble.topology)
    heavy = whole.without_hydrogens()
    assert "H" not in heavy.elements
    assert len(heavy.elements) == sum(element != "H" for element in whole.elements)
    assert np.array_equal(heavy.positions[heavy.ca_index], whole.positions[whole.ca_index])
    assert np.array_equal(heavy.positions, whole.positions[heavy.file_index])
    assert heavy.file_atoms == whole.file_atoms


def test_elements_come_from_names_where_the_column_is_empty_or_a_guess(written: Writer) -> None:
    names = ["N", "CA", "C", "O", "CB", "CD", "NE", "HG", "1HB", "HE2", "SD", "OXT"]
    wrong = {"CA": "CA", "CD": "CD", "NE": "NE", "HG": "HG", "HE2": "HE"}
    expected = ("N", "C", "C", "O", "C", "C", "N", "H", "H", "H", "S", "O")
    for columns in ({}, wrong):
        path = written([line(name, element=columns.get(name, "")) for name in names])
        assert load_structure(path).elements == expected
    assert load_structure(written([text[:54] for text in residue()])).elements == ("N", "C", "C", "O", "C")


def test_selenium_needs_its_residue(written: Writer) -> None:
    lines = [*residue(1), *residue(2, "MSE", kind="HETATM"), line("SE", "MSE", 2, kind="HETATM", element="")]
    structure = load_structure(written(lines))
    assert structure.elements[-1] == "Se"
    assert structure.sequence == "AM"


def test_water_ions_ligands_and_caps_are_left_out(written: Writer) -> None:
    lines = [
        line("CH3", "ACE", 0),
        *residue(1),
        *residue(2),
        "TER",
        line("CA", "CA", 301, kind="HETATM", element="CA"),
        line("C1", "HEM", 302, kind="HETATM", element="C"),
        *residue(303, "GLY", kind="HETATM"),  # free glycine behind the chain's end
        line("O", "HOH", 401, kind="HETATM", element="O"),
    ]
    structure = load_structure(written(lines))
    assert structure.sequence == "AA"
    assert structure.file_atoms == 19
    assert structure.file_index.tolist() == list(range(1, 11))


def test_first_model_alone_is_read(written: Writer) -> None:
    lines = ["MODEL        1", *residue(1), "ENDMDL", "MODEL        2", *residue(1), *residue(2), "ENDMDL"]
    structure = load_structure(written(lines))
    assert structure.file_atoms == 5
    assert structure.sequence == "A"


def test_one_alternate_location_is_kept(written: Writer) -> None:
    shared = [line("N", element="N"), line("CA", x=1.4, element="C"), line("C", x=2.8, element="C")]
    lines = [
        *shared,
        line("CB", x=1.0, alternate="A", occupancy=0.4, element="C"),
        line("CB", x=2.0, alternate="B", occupancy=0.6, element="C"),
        line("O", x=3.0, alternate="A", occupancy=0.4, element="O"),
    ]
    structure = load_structure(written(lines))
    assert structure.atom_names == ("N", "CA", "C", "CB", "O")  # O has no B, so its A stays
    assert structure.positions[3, 0] == 2.0
    assert structure.file_index.tolist() == [0, 1, 2, 4, 5]


def test_two_amino_acids_at_one_place_give_one(written: Writer) -> None:
    def variant(name: str, alternate: str, occupancy: float) -> list[str]:
        return [
            line(atom, name, 1, x, alternate=alternate, occupancy=occupancy, element=atom[0]) for atom, x in ALANINE
        ]

    structure = load_structure(written([*variant("SER", "A", 0.3), *variant("THR", "B", 0.7), *residue(2)]))
    assert structure.sequence == "TA"
    assert len(structure.elements) == 10


def test_blank_chain_and_missing_columns_are_fine(written: Writer) -> None:
    structure = load_structure(written(residue(1, chain=" ") + residue(2, chain=" ")))
    assert structure.chain == ""
    assert structure.sequence == "AA"


def test_gzip_is_read(tmp_path: Path) -> None:
    path = tmp_path / "one.pdb.gz"
    path.write_bytes(gzip.compress("\n".join(residue()).encode()))
    assert load_structure(path).sequence == "A"


def test_residue_without_ca_is_left_out_and_said(written: Writer, caplog: pytest.LogCaptureFixture) -> None:
    lines = [*residue(1), line("N", number=2, element="N"), line("C", number=2, element="C"), *residue(3)]
    with caplog.at_level(logging.WARNING):
        assert load_structure(written(lines)).sequence == "AA"
    assert "1 residues without a C-alpha are left out" in caplog.text


def test_a_trace_of_c_alphas_is_refused(written: Writer) -> None:
    with pytest.raises(InputError, match=r"one\.pdb: is a trace of C-alphas alone; a surface needs all of the heavy"):
        load_structure(written([line("CA", number=1), line("CA", number=2), *residue(3)]))


def test_chains_of_two_letters_and_residues_of_four(written: Writer) -> None:
    """Large structures begin a chain's name in the column where CHARMM ends a residue's."""
    lines = [*residue(1), *residue(2, "LYS"), *residue(3, "LYS")]
    long = [text[:20] + "Z" + text[21:] for text in lines]
    assert (load_structure(written(long)).chain, load_structure(written(long)).sequence) == ("ZA", "AKK")
    named = [*residue(1), *(text[:17] + "HISD" + text[21:] for text in residue(2))]
    assert (load_structure(written(named)).chain, load_structure(written(named)).sequence) == ("A", "AH")


def test_elements_of_modified_residues_are_believed(written: Writer) -> None:
    modified = [*residue(1, "CAS", kind="HETATM"), line("AS", "CAS", 1, 5.0, kind="HETATM", element="AS")]
    structure = load_structure(written([*modified, *residue(2)]))
    assert (structure.sequence, structure.elements.count("As")) == ("CA", 1)


@pytest.mark.parametrize("blank", [False, True])
def test_several_chains_need_a_choice(written: Writer, blank: bool) -> None:
    names = (" ", " ") if blank else ("A", "B")
    path = written([*residue(1, chain=names[0]), "TER", *residue(1, "GLY", chain=names[1]), "TER"])
    second = "2" if blank else "B"
    with pytest.raises(InputError, match=rf"one\.pdb: holds 2 protein chains \(.*, {second}\); choose with --chain"):
        load_structure(path)
    assert load_structure(path, second).sequence == "G"
    with pytest.raises(InputError, match=rf"one\.pdb: has no protein chain `Z`; chains: .*{second}$"):
        load_structure(path, "Z")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["HEADER    nothing"], r"one\.pdb: holds no ATOM record; a PDB file is expected$"),
        (
            [line("O", "HOH", 1, kind="HETATM", element="O")],
            r"one\.pdb: holds 1 atoms but no protein atoms$",
        ),
        ([line("N"), line("C")], r"one\.pdb: none of its 1 residues has a C-alpha atom \(`CA`\)$"),
        ([line("N", x="nan"), line("CA")], r"one\.pdb:1: coordinates `nan .*` must be finite$"),
        ([line("N"), line("CA", x="1.2.3")], r"one\.pdb:2: coordinates `1\.2\.3 .*` are not three numbers"),
        ([line("CA"), line("ZZ")], r"one\.pdb: atom 2 `ZZ` of residue ALA 1 is of no element of a protein"),
        (
            [line("CA"), line("CB", x=55.0)],
            r"one\.pdb: atom `CB` of residue 1 ALA lies 55 Å from its C-alpha, at most 20 Å is possible",
        ),
    ],
)
def test_wrong_content_is_told_in_one_line(written: Writer, lines: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_structure(written(lines))
    assert "\n" not in str(caught.value)


def test_missing_file_and_folder_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.pdb: cannot be read: No such file or directory$"):
        load_structure(tmp_path / "none.pdb")
    with pytest.raises(InputError, match=r"cannot be read: Is a directory$"):
        load_structure(tmp_path)
    broken = tmp_path / "broken.pdb.gz"
    broken.write_bytes(b"ATOM")
    with pytest.raises(InputError, match=r"broken\.pdb\.gz: cannot be read"):
        load_structure(broken)


@pytest.mark.parametrize(("name", "letter"), [("MSE", "M"), ("HIE", "H"), ("CYX", "C"), ("SEP", "S"), ("UNK", "X")])
def test_residues_beyond_the_twenty_are_mapped_or_x(written: Writer, name: str, letter: str) -> None:
    structure = load_structure(written([*residue(1), *residue(2, name, kind="HETATM"), *residue(3)]))
    assert structure.sequence == f"A{letter}A"


def test_numbers_that_fall_back_part_nameless_chains(written: Writer) -> None:
    path = written([*residue(7, chain=" "), *residue(8, chain=" "), *residue(1, "GLY", chain=" ")])
    with pytest.raises(InputError, match=r"holds 2 protein chains \(1, 2\)"):
        load_structure(path)
    assert load_structure(path, "2").sequence == "G"


def test_a_chain_broken_over_its_cell_is_made_whole(written: Writer) -> None:
    cell = "CRYST1   40.000   40.000   40.000  90.00  90.00  90.00 P 1           1"
    far = [line("N", "ALA", 2, 39.0), line("CA", "ALA", 2, 39.5), line("C", "ALA", 2, 0.5)]
    structure = load_structure(written([cell, *residue(1), *far]))
    assert structure.positions[-1, 0] - structure.positions[-2, 0] == pytest.approx(1.0)


def test_a_crystal_is_left_as_it_is(written: Writer) -> None:
    """Its cell is no box: what a missing loop leaves 39 Å away would else be moved to where another molecule is."""
    cell = "CRYST1   40.000   40.000   40.000  90.00  90.00  90.00 P 21 21 21    4"
    far = [line("N", "ALA", 20, 39.0), line("CA", "ALA", 20, 39.5), line("C", "ALA", 20, 40.5)]
    assert load_structure(written([cell, *residue(1), *far])).positions[-1, 0] == pytest.approx(40.5)
