"""`moedsr data` and `moedsr train` with URLs: a bucket of ensembles to a store in a bucket, and a model from it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import builders
import pytest
import yaml
from click.testing import CliRunner
from s3_server import s3_bucket

from moedsr.config import PrepareConfig
from moedsr.store.prepare import prepare_serially
from moedsr.store.remote_folder import RemoteFolder
from moedsr.structures.ensemble import find_ensembles
from moedsr_platform.cli import main

pytest.importorskip("ray")

SETTINGS = PrepareConfig(frames=4, surface_points=200, occupancy_grid=32)
NAMES = ("1l2y_A", "1vii_A", "1crn_A")


def moedsr(*words: object) -> tuple[int, str, str]:
    environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    command = [sys.executable, "-m", "moedsr_platform", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """Three sound ensembles and a bad one under /ensembles."""
    monkeypatch.setenv("MOEDSR_CACHE", str(tmp_path / "cache"))
    (tmp_path / "settings.yaml").write_text(json.dumps(SETTINGS.model_dump(mode="json")))
    (tmp_path / "splits.json").write_text('{"train": ["1l2y_A", "1crn_A"], "val": ["1vii_A"]}')
    with s3_bucket(monkeypatch) as bucket:
        folder = RemoteFolder(f"{bucket}/ensembles")
        for ensemble in find_ensembles("mini-atlas"):
            if ensemble.name in NAMES:
                for path in (ensemble.topology, *ensemble.trajectories):
                    folder.upload(path, f"{ensemble.name}/{path.name}")
        folder.upload(tmp_path / "settings.yaml", "1bad_A/1bad_A.pdb")
        folder.upload(tmp_path / "splits.json", "splits.json")
        yield bucket


def prepared(bucket: str, folder: Path) -> tuple[str, str]:
    """URL of the store that the command makes in the bucket, and what it said."""
    store = f"{bucket}/stores/one"
    code, output, errors = moedsr(
        *("data", "prepare", f"{bucket}/ensembles", "--out", store, "--settings", folder / "settings.yaml")
    )
    assert (code, errors) == (0, "")
    return store, output


def test_from_bucket_to_bucket(bucket: str, tmp_path: Path) -> None:
    store, output = prepared(bucket, tmp_path)
    alone = prepare_serially("mini-atlas", SETTINGS, tmp_path / "alone", NAMES)
    assert output.splitlines()[-1] == f"store {store}: 3 proteins, fingerprint {alone.fingerprint}"
    assert f"  1bad_A: {bucket}/ensembles/1bad_A/1bad_A.pdb" in output
    checked = CliRunner().invoke(main, ["data", "check", store])
    assert checked.exit_code == 0
    assert checked.output.splitlines()[-1].startswith(f"{store}: 3 proteins are sound")
    for words in (["prepare", f"{bucket}/none", "--out", store], ["prepare", f"{bucket}/ensembles", "--out", store]):
        wrong = CliRunner().invoke(main, ["data", *words])
        assert wrong.exit_code == 2
        assert len(wrong.output.splitlines()) == 1
    assert f"moedsr: {store}: was prepared with frames 4, but 100 is wanted" in wrong.output


@pytest.mark.slow
def test_prepared_again_and_trained_from(bucket: str, tmp_path: Path) -> None:
    store, output = prepared(bucket, tmp_path)
    before = {file for file in RemoteFolder(store).list() if file.name.endswith((".safetensors", "_A.json"))}
    assert len(before) == 6
    assert prepared(bucket, tmp_path)[1].splitlines()[-1] == output.splitlines()[-1]
    assert before <= set(RemoteFolder(store).list())  # with their times
    config = builders.small_config().model_dump(mode="json", exclude_unset=True)
    config["training"] = {"steps": 3, "validate_every": 3}
    config["data"] = {"store": store}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config))
    code, output, errors = moedsr("train", tmp_path / "run.yaml", "--results", tmp_path / "results")
    assert code == 0, errors
    assert f"surface store {store}: 3 proteins, copied to {tmp_path / 'cache'}" in output
