"""Residue names to types."""

import pytest

from moedsr.structures.residues import RESIDUE_TYPES, THREE_LETTER, is_amino_acid, one_letter, residue_type


def test_twenty_types_and_unknown_are_distinct() -> None:
    assert len(RESIDUE_TYPES) == 21
    assert len(set(RESIDUE_TYPES)) == 21
    assert RESIDUE_TYPES[-1] == "X"


def test_every_amino_acid_has_its_own_type() -> None:
    assert sorted(residue_type(name) for name in THREE_LETTER) == list(range(20))


@pytest.mark.parametrize(
    ("name", "letter"),
    [
        ("HSD", "H"),
        ("HIE", "H"),
        ("CYX", "C"),
        ("MSE", "M"),
        ("ASH", "D"),
        ("GLH", "E"),
        ("SEP", "S"),
        ("lys ", "K"),
        ("NLEU", "L"),
        ("CHIE", "H"),
    ],
)
def test_variants_have_the_type_of_their_parent(name: str, letter: str) -> None:
    assert one_letter(name) == letter
    assert is_amino_acid(name)


@pytest.mark.parametrize("name", ["HOH", "ZN", "ACE", "DA", ""])
def test_anything_else_is_unknown(name: str) -> None:
    assert RESIDUE_TYPES[residue_type(name)] == "X"
    assert not is_amino_acid(name)
