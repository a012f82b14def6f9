"""Where ensembles are found, bundled or in the archive's own naming."""

import json
import shutil
from pathlib import Path

import pytest

from moedsr.errors import InputError
from moedsr.structures.ensemble import Ensemble, find_ensembles

ATLAS_SAMPLE = Path(__file__).parents[3] / "shared" / "data" / "atlas_sample"


def bundled(name: str = "1l2y_A") -> Ensemble:
    return next(one for one in find_ensembles("mini-atlas") if one.name == name)


def entry(folder: Path, name: str, pattern: str, replicas: int = 3) -> Path:
    """An entry whose files are named by a pattern."""
    source = bundled()
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(source.topology, folder / f"{name}.pdb")
    for number in range(1, replicas + 1):
        shutil.copy(source.trajectories[number - 1], folder / pattern.format(id=name, n=number))
    return folder


def test_bundled_ensembles_are_split_by_protein() -> None:
    found = {one.name: one for one in find_ensembles("mini-atlas")}
    assert {name: one.split for name, one in found.items()} == {
        "1crn_A": "train",
        "1l2y_A": "train",
        "1ppe_I": "train",
        "4cpa_I": "train",
        "1gl1_I": "val",
        "1vii_A": "test",
    }
    for name, one in found.items():
        assert [path.name for path in one.trajectories] == [f"{name}_R{n}.xtc" for n in (1, 2, 3)]
        assert all(path.exists() for path in (one.topology, *one.trajectories))


@pytest.mark.parametrize("pattern", ["{id}_R{n}.xtc", "{id}_prod_R{n}_fit.xtc"])
@pytest.mark.parametrize("nested", [False, True])
def test_archive_names_are_understood(tmp_path: Path, pattern: str, nested: bool) -> None:
    inner = tmp_path / "6okd_C" / "6okd_C" if nested else tmp_path / "6okd_C"
    entry(inner, "6okd_C", pattern)
    (tmp_path / "notes").mkdir()
    (ensemble,) = find_ensembles(tmp_path)
    assert ensemble.name == "6okd_C"
    assert ensemble.split is None
    assert [path.name for path in ensemble.trajectories] == [pattern.format(id="6okd_C", n=n) for n in (1, 2, 3)]


def test_fitted_trajectories_come_first(tmp_path: Path) -> None:
    folder = entry(tmp_path / "6okd_C", "6okd_C", "{id}_R{n}.xtc")
    entry(folder, "6okd_C", "{id}_prod_R{n}_fit.xtc")
    (ensemble,) = find_ensembles(tmp_path)
    assert all(path.name.endswith("_fit.xtc") for path in ensemble.trajectories)


def test_one_entry_and_its_file_are_sources(tmp_path: Path) -> None:
    folder = entry(tmp_path / "6okd_C", "6okd_C", "{id}_R{n}.xtc")
    assert find_ensembles(folder) == find_ensembles(str(folder / "6okd_C.pdb")) == find_ensembles(tmp_path)


def test_paths_hold_in_any_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry(tmp_path / "6okd_C", "6okd_C", "{id}_R{n}.xtc")
    monkeypatch.chdir(tmp_path)
    assert find_ensembles(".") == find_ensembles(tmp_path)


def test_digest_follows_the_content(tmp_path: Path) -> None:
    folder = entry(tmp_path / "6okd_C", "6okd_C", "{id}_R{n}.xtc")
    (ensemble,) = find_ensembles(folder)
    before = ensemble.digest()
    assert ensemble.digest() == before
    content = bytearray(ensemble.trajectories[1].read_bytes())
    content[-1] ^= 1
    ensemble.trajectories[1].write_bytes(content)
    assert ensemble.digest() != before


def test_missing_source_names_the_bundled_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"mini_atlas: no such folder \(did you mean `mini-atlas`\?\)"):
        find_ensembles("mini_atlas")
    (tmp_path / "ensembles").mkdir()
    with pytest.raises(InputError, match=r"/ensemlbes: no such folder \(did you mean `.*/ensembles`\?\)"):
        find_ensembles(tmp_path / "ensemlbes")
    with pytest.raises(InputError, match=r"holds no entry; expected \{id\}/\{id\}\.pdb"):
        find_ensembles(tmp_path)
    (tmp_path / "a.txt").touch()
    with pytest.raises(InputError, match=r"a\.txt: is no structure file \(\.pdb, "):
        find_ensembles(tmp_path / "a.txt")


def test_files_of_other_names_than_their_folder_are_told(tmp_path: Path) -> None:
    """As GROMACS leaves them; a protein that is silently left out is missed long after."""
    other = tmp_path / "mine"
    other.mkdir()
    (other / "md.xtc").touch()
    (other / "top.gro").touch()
    message = r"/mine: holds md\.xtc, top\.gro; files are found by their folder's name: mine\.pdb with mine_R1\.xtc"
    for source in (tmp_path, other):
        with pytest.raises(InputError, match=message):
            find_ensembles(source)
    entry(tmp_path / "6okd_C", "6okd_C", "{id}_R{n}.xtc")
    (tmp_path / "figures").mkdir()
    set_aside: dict[str, str] = {}
    assert [one.name for one in find_ensembles(tmp_path, set_aside)] == ["6okd_C"]
    assert list(set_aside) == ["mine"]


def test_missing_trajectories_are_told(tmp_path: Path) -> None:
    folder = entry(tmp_path / "6okd_C", "6okd_C", "{id}_R{n}.xtc")
    (folder / "6okd_C_R2.xtc").unlink()
    with pytest.raises(InputError, match="replica R2 of 6okd_C is missing"):
        find_ensembles(tmp_path)
    for path in folder.glob("*.xtc"):
        path.unlink()
    with pytest.raises(InputError, match=r"no trajectory beside it; expected 6okd_C_R1\.xtc or 6okd_C_prod_R1_fit"):
        find_ensembles(tmp_path)


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (
            {"trian": ["6okd_C"]},
            r"unknown split `trian` \(did you mean `train`\?\); allowed: train, val, test",
        ),
        ({"train": ["6okd_A"]}, r"train names the unknown protein `6okd_A` \(did you mean `6okd_C`\?\)"),
        ({"train": ["6okd_C"], "val": ["6okd_C"]}, r"`6okd_C` stands in train and in val"),
        (["6okd_C"], r"must be a JSON mapping of split to protein names"),
        ({"train": 3}, r"must be a JSON mapping of split to protein names"),
    ],
)
def test_wrong_splits_are_told(tmp_path: Path, splits: object, message: str) -> None:
    entry(tmp_path / "6okd_C", "6okd_C", "{id}_R{n}.xtc", replicas=1)
    (tmp_path / "splits.json").write_text(json.dumps(splits))
    with pytest.raises(InputError, match=message) as caught:
        find_ensembles(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'splits.json'}: ")


@pytest.mark.skipif(not ATLAS_SAMPLE.exists(), reason="the ATLAS sample may not be distributed")
def test_real_atlas_entry_is_found() -> None:
    (ensemble,) = find_ensembles(ATLAS_SAMPLE)
    assert ensemble.name == "6okd_C"
    assert [path.name for path in ensemble.trajectories] == ["6okd_C_prod_R1_fit.xtc"]
