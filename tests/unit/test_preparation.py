"""Which store a configuration means, and what it says of it afterwards."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from moedsr.config import DataConfig, PrepareConfig
from moedsr.errors import InputError
from moedsr.store.store import SurfaceStore
from moedsr_platform.cli import main
from moedsr_platform.cluster.preparation import ensure_store, store_path


def test_a_store_that_is_only_named_is_taken_as_it_is(tiny_store: SurfaceStore) -> None:
    said: list[str] = []
    data, store = ensure_store(DataConfig(store=Path(tiny_store.path)), said.append)
    assert store.fingerprint == tiny_store.fingerprint
    assert data.prepare == tiny_store.settings != PrepareConfig()
    assert said == [f"surface store {tiny_store.path}: 4 proteins, prepared before"]


def test_other_settings_that_are_asked_for_stay_an_error(tiny_store: SurfaceStore) -> None:
    data = DataConfig(store=Path(tiny_store.path), prepare=PrepareConfig(frames=7))
    with pytest.raises(InputError, match="was prepared with frames 6, but 7 is wanted"):
        ensure_store(data, lambda line: None)
    with_source = DataConfig(store=Path(tiny_store.path), source="mini-atlas")
    with pytest.raises(InputError, match="was prepared with"):
        ensure_store(with_source, lambda line: None)


def test_no_store_and_no_source(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no surface store; give `data.source` too"):
        ensure_store(DataConfig(store=tmp_path / "none"), lambda line: None)


def test_the_place_is_written_out(tiny_store: SurfaceStore, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(tiny_store.path)
    monkeypatch.chdir(folder.parent)
    data, _ = ensure_store(DataConfig(store=Path(folder.name)), lambda line: None)
    assert data.store == folder


def test_a_job_looks_for_a_relative_store_beside_its_results(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    upload = tmp_path / "runtime_resources" / "working_dir_files" / "_ray_pkg_0123"
    (upload / "sent").mkdir(parents=True)
    monkeypatch.chdir(upload)
    monkeypatch.setenv("MOEDSR_HOME", str(tmp_path / "results"))
    assert store_path(DataConfig(store=Path("stores/atlas"))) == tmp_path / "results" / "stores" / "atlas"
    assert store_path(DataConfig(store=Path("sent"))) == upload / "sent"
    assert store_path(DataConfig(store=tmp_path / "absolute")) == tmp_path / "absolute"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--chain", "A,B"], {"chains": ("A", "B")}),
        (["--chain", ""], {"chains": ("",)}),
        (["--ligand", "HEM", "--ligand", "ZN"], {"ligands": ("HEM", "ZN")}),
        (["--frames", "7", "--keep-truncated"], {"frames": 7, "keep_truncated": True}),
        (["--settings", "FILE", "--surface-points", "9"], {"frames": 3, "chains": ("C",), "surface_points": 9}),
        (["--frames", "0"], "moedsr: `frames` is 0, but must be greater than or equal to 1"),
        (["--settings", "FILE", "--surface-points", "-1"], "moedsr: `surface_points` is -1, but must be"),
    ],
)
def test_options_of_the_command_become_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: list[str], expected: dict[str, object] | str
) -> None:
    (tmp_path / "settings.yaml").write_text("frames: 3\nchains: [C]\n")
    asked: list[PrepareConfig] = []

    def prepare(source: str, settings: PrepareConfig, *rest: object) -> None:
        asked.append(settings)
        raise InputError("enough")

    monkeypatch.setattr("moedsr_platform.cluster.connection.connect", lambda address: [])
    monkeypatch.setattr("moedsr_platform.cluster.preparation.prepare_store", prepare)
    given = [str(tmp_path / "settings.yaml") if option == "FILE" else option for option in options]
    result = CliRunner().invoke(main, ["data", "prepare", "mini-atlas", "--out", str(tmp_path / "store"), *given])
    assert result.exit_code == 2
    if isinstance(expected, str):
        assert result.output.startswith(expected)
        assert len(result.output.splitlines()) == 1
    else:
        assert asked == [PrepareConfig(**expected)]
