"""The pinned list of entries, and what is said of an id that is not in it."""

from pathlib import Path

import pytest

from moedsr.errors import InputError
from moedsr.structures.atlas.catalogue import addresses, pinned_ids, read_ids, require_known


def test_the_list_is_that_of_the_paper() -> None:
    names = pinned_ids()
    assert len(names) == len(set(names)) == 1390
    assert {"6irx_A", "1tg7_A", "4ayg_B", "1bgf_A", "6okd_C"} <= set(names)
    require_known(names)


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [("1K5N_A", "1k5n_A"), ("1k5n_a", "1k5n_A"), ("1k5n", "1k5n_A"), ("1k5n_Q", "1k5n_A"), ("6irx-A", "6irx_A")],
)
def test_unknown_id_is_told_with_the_nearest(wrong: str, nearest: str) -> None:
    with pytest.raises(InputError, match=rf"unknown ATLAS entry `{wrong}` \(did you mean `{nearest}`\?\); ids are"):
        require_known(["1k5n_A", wrong])


def test_newer_entries_are_taken_where_asked_for_but_nothing_of_another_form() -> None:
    with pytest.raises(InputError, match="need --unlisted"):
        require_known(["9zzz_A"])
    require_known(["9zzz_A"], unlisted=True)
    for hostile in ("../x_A", "9zzz_A/..", "9ZZZ_A", "9zzz_A\n", ""):
        with pytest.raises(InputError, match="unknown ATLAS entry"):
            require_known([hostile], unlisted=True)


def test_list_files_may_be_tables(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("name,seqres\n1k5n_A,GSH\n\n# later\n5e3e_A  # why\n")
    assert read_ids(path) == ["1k5n_A", "5e3e_A"]
    path.write_text("# nothing\n")
    with pytest.raises(InputError, match="holds no id"):
        read_ids(path)
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_ids(tmp_path / "absent")


def test_the_copy_with_ranges_is_asked_first() -> None:
    assert addresses("1k5n_A", "protein", "http://h/ATLAS/") == [
        "http://h/ATLAS/database/ATLAS/1k5n_A/1k5n_A_protein.zip",
        "http://h/ATLAS/api/ATLAS/protein/1k5n_A",
    ]
