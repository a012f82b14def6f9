"""What is known of proteins, joined to their routing."""

import math
from pathlib import Path

import numpy as np
import pytest

from moedsr.errors import InputError
from moedsr_platform.reports.routing_annotations import annotate
from moedsr_platform.tracking.routing_report import Routing

ROUTING = Routing(step=1, names=("1abc_A", "2xyz_B", "3new_C"), splits=("train",) * 3, gates=np.eye(3))
TABLE = '''PDB\talpha%\tCATH_class\tnotes
1abc_A\t120\t"""Mainly Beta"", ""Alpha Beta"""\tx
2xyz_B\t80\t"""-"""\ty
9zzz_Z\t10\tMainly Alpha\tz
'''


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "info.tsv"
    path.write_text(TABLE)
    return path


def test_numbers_and_classes_of_the_known_columns(table: Path) -> None:
    found = annotate(ROUTING, table)
    assert list(found.numbers["alpha%"])[:2] == [120, 80]
    assert math.isnan(found.numbers["alpha%"][2])
    assert found.classes == {"CATH_class": ["Mainly Beta", "", ""]}


def test_chosen_columns(table: Path) -> None:
    assert annotate(ROUTING, table, ["notes"]).classes == {"notes": ["x", "y", ""]}
    with pytest.raises(InputError, match=r"has no column 'alpha' \(did you mean `alpha%`\?\)"):
        annotate(ROUTING, table, ["alpha"])


def test_a_csv_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("id,charge\n1abc_A,-3\n2xyz_B,4\n3new_C,0\n")
    assert annotate(ROUTING, path).numbers["charge"] == [-3, 4, 0]


def test_a_table_of_other_proteins(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("id,charge\n1ABC_A,-3\n")
    with pytest.raises(InputError, match="names none of the 3 proteins, such as 1abc_A, 2xyz_B, 3new_C"):
        annotate(ROUTING, path)


@pytest.mark.parametrize("content", [b"", b"id\n1abc_A\n", b"\xff\xfe\x00", b"id,x\n"])
def test_no_table(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"broken\.csv: (is no table|cannot be read as a table)"):
        annotate(ROUTING, path)
