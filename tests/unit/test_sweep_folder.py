"""Which sweep is gone on with, and when that is refused."""

import json
from pathlib import Path

import pytest

from moedsr.errors import InputError
from moedsr_platform.sweep.folder import all_folders, new_folder, old_folder, unfinished
from moedsr_platform.sweep_file.schema import SweepFile


def sweep(**changes: object) -> SweepFile:
    given = {
        "name": "s",
        "base": {"data": {"source": "mini-atlas"}},
        "search": {"expert.count": {"int": [4, 8]}},
        "trials": 4,
        **changes,
    }
    return SweepFile.model_validate_json(json.dumps(given))


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MOEDSR_HOME", str(tmp_path / "results"))
    path = tmp_path / "s.yaml"
    path.write_text("name: s\n")
    return path


def test_the_latest_unfinished_of_a_name_is_gone_on_with_and_else_the_latest(file: Path) -> None:
    assert [new_folder(sweep(), file).sweep_id for _ in range(3)] == ["s", "s-2", "s-3"]
    for latest in ("s-3", "s-2", "s"):
        assert old_folder(sweep()).sweep_id == latest
        old_folder(sweep()).finished.touch()
    assert unfinished(sweep()) is None
    assert old_folder(sweep()).sweep_id == "s-3"


def test_one_of_other_settings_does_not_hide_what_is_unfinished(file: Path) -> None:
    new_folder(sweep(), file)
    new_folder(sweep(sampler="random"), file)
    assert old_folder(sweep()).sweep_id == "s"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"sampler": "random"}, 'sampler = "multivariate_tpe", the file now has "random"'),
        ({"search": {"expert.count": {"int": [4, 9]}}}, r"search\.expert\.count\.int = \[4, 8\], .* now has \[4, 9\]"),
        ({"search": {"expert.latent_size": {"int": [4, 8]}}}, r"search\.expert\.count = .*, the file now has null"),
        ({"base": {"data": {"source": "mini-atlas"}, "training": {"steps": 7}}}, r"base\.training\.steps = \d+, .* 7"),
    ],
)
def test_a_file_that_was_changed_is_refused_by_the_key(file: Path, changes: dict[str, object], line: str) -> None:
    new_folder(sweep(), file)
    with pytest.raises(
        InputError, match=f"sweep `s` was started with {line}: .* may change is trials, resources, register\\)"
    ):
        old_folder(sweep(**changes))
    assert unfinished(sweep(**changes)) is None


def test_more_trials_and_other_machines_are_no_other_sweep(file: Path) -> None:
    new_folder(sweep(), file)
    assert old_folder(sweep(trials=9, resources={"workers": 2}, register={"model": "m"})).sweep_id == "s"


def test_what_cannot_be_read_or_is_not_there_is_said(file: Path) -> None:
    (new_folder(sweep(), file).path / "sweep.json").write_text("{")
    with pytest.raises(InputError, match=r"s: holds no readable sweep\.json"):
        old_folder(sweep())
    with pytest.raises(InputError, match=r"no sweep `t` to resume under .*; there are s$"):
        old_folder(sweep(name="t"))


def test_what_a_killed_process_had_half_made_is_no_sweep(file: Path, tmp_path: Path) -> None:
    (tmp_path / "results" / "sweeps" / ".3f2a" / "trials").mkdir(parents=True)
    assert all_folders() == []
    with pytest.raises(InputError, match=r"no sweep `s` to resume under .*; --results names another folder$"):
        old_folder(sweep())
