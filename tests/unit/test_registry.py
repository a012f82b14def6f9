"""The registry: what a version holds, how it is found again, what a wrong name is told."""

import ast
import contextlib
import importlib.metadata
import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED

from moedsr.config import Config
from moedsr.errors import InputError
from moedsr.training import checkpoint as checkpoint_module
from moedsr_platform.cli import main
from moedsr_platform.tracking import registry
from moedsr_platform.tracking.model_package import REQUIREMENTS
from moedsr_platform.tracking.model_reference import NEEDED, resolve
from moedsr_platform.tracking.promotion import promote
from moedsr_platform.tracking.registry import register
from moedsr_platform.tracking.tracker import Tracker

CONFIG = '{"evaluation": {"split": "val", "frames": 4}}'


def fake_checkpoint(folder: Path, step: int) -> Path:
    folder.mkdir()
    for name in ("config.json", "model.safetensors", "training.pt"):
        (folder / name).write_text(json.dumps(f"{name} of step {step}") if name != "config.json" else CONFIG)
    meta = {"step": step, "store_fingerprint": "f00d", "git_commit": "c0ffee"}
    (folder / "meta.json").write_text(json.dumps(meta))
    return folder


class KilledError(Exception):
    pass


class Dying:
    """A client whose process dies at one of its requests, before that is carried out or before it is ``answered``."""

    def __init__(self, client: Any, request: int, *, answered: bool) -> None:
        """``request``: its place, from 0."""
        self._client, self._left, self._answered = client, request, answered

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **named: Any) -> Any:
            self._left -= 1
            if self._left < 0 and not self._answered:
                raise KilledError
            answer = found(*arguments, **named)
            if self._left < 0:
                raise KilledError
            return answer

        return call


class Store:
    """A store with one sweep of one trial, whose checkpoint is registered as version 1."""

    def __init__(self, folder: Path) -> None:
        self.uri = f"sqlite:///{folder / 'mlflow.db'}"
        self.checkpoint = fake_checkpoint(folder / "checkpoint", step=7)
        with Tracker.open(self.uri) as tracker:
            sweep = tracker.sweep_run("s", {}, {})
            config = Config.model_validate_json('{"data": {"source": "mini-atlas"}}')
            tags = {"moedsr.sweep_id": "s", "moedsr.objective": "val/iou", "moedsr.mode": "max"}
            trial = tracker.trial_run(sweep, "t1", config, tags)
            empty = tracker.trial_run(sweep, "t2", config, {})
            tracker.log_checkpoint(trial, self.checkpoint)
            tracker.finish_sweep(sweep, "table", best_run=trial)
            assert tracker.drain()
            self.sweep, self.trial, self.empty_trial = map(tracker.run_id, (sweep, trial, empty))
            self.client = tracker.client
        self.version = register(self.checkpoint, self.trial, metrics={"val/iou": 0.5, "naive/iou": 0.25}, uri=self.uri)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("registry"))


def test_a_version_says_where_it_comes_from(store: Store) -> None:
    version = store.client.get_model_version("moe-dsr", "1")
    assert version.run_id == store.trial
    assert version.tags == {
        "moedsr.run_id": store.trial,
        "moedsr.step": "7",
        "moedsr.store_fingerprint": "f00d",
        "moedsr.git_commit": "c0ffee",
        "moedsr.evaluation.evaluation": "frames=4, split=val",
        "moedsr.sweep_id": "s",
        "moedsr.objective": "val/iou",
        "moedsr.mode": "max",
        "metric.val/iou": "0.5",
        "metric.naive/iou": "0.25",
    }
    assert version.description == (
        f"Step 7 of run {store.trial}. val/iou: doing nothing (P0 for every frame) scores 0.250, this model 0.500: "
        "better than doing nothing, by 0.250."
    )
    assert version.aliases == ["candidate"]


@pytest.mark.parametrize("answered", [False, True])
def test_a_registration_that_is_killed_anywhere_leaves_one_version(
    answered: bool, tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at each of its requests to the store, and then repeated."""
    (tmp_path / "file").write_text("model")
    monkeypatch.setattr(registry, "model_folder", lambda *arguments: contextlib.nullcontext(tmp_path))
    experiment = store.client.get_run(store.trial).info.experiment_id
    for request in itertools.count():
        model, run = f"killed-{answered}-{request}", store.client.create_run(experiment).info.run_id

        def again(client: Any, model: str = model, run: str = run) -> str:
            return register(store.checkpoint, run, model=model, metrics={"val/iou": 0.5}, client=client)

        try:
            again(Dying(store.client, request, answered=answered))
        except KilledError:
            pass
        else:
            break
        assert again(store.client) == "1"
        (version,) = store.client.search_model_versions(f"name = '{model}'")
        assert version.run_id == run
        assert store.client.get_model_version_by_alias(model, "candidate").run_id == run
        (logged,) = store.client.search_logged_models([experiment], filter_string=f"source_run_id = '{run}'")
        assert logged.status == "READY"
        assert [output.model_id for output in store.client.get_run(run).outputs.model_outputs] == [logged.model_id]
        store.client.delete_registered_model(model)
    store.client.delete_registered_model(model)
    assert request > 8


class Slow:
    """A client whose first ``create_model_version`` is given up: the server does it all the same, before a later
    request of that name."""

    def __init__(self, client: Any, done_before: str) -> None:
        self._client, self._done_before = client, done_before
        self._late: list[Any] = []
        self.made = 0

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            if name == "create_model_version" and not self.made:
                self.made = 1
                self._late.append((arguments, named))
                raise ConnectionError("Read timed out.")
            if name == self._done_before and self._late:
                late, self._late = self._late, []
                for earlier, given in late:
                    self._client.create_model_version(*earlier, **given)
            self.made += name == "create_model_version"
            return getattr(self._client, name)(*arguments, **named)

        found = getattr(self._client, name)
        return call if callable(found) else found


@pytest.mark.parametrize(
    ("done_before", "asked"),
    [("search_model_versions", 1), ("finalize_logged_model", 1), ("create_model_version", 2)],
    ids=["repeated", "while the files are sent again", "made again"],
)
@pytest.mark.parametrize("permitted", [True, False])
def test_a_version_that_a_slow_server_makes_after_it_was_given_up_is_found(
    done_before: str, asked: int, permitted: bool, tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("model")
    monkeypatch.setattr(registry, "model_folder", lambda *arguments: contextlib.nullcontext(tmp_path))

    def refuse(*arguments: object) -> None:
        raise MlflowException("no", error_code=PERMISSION_DENIED)

    if not permitted:
        monkeypatch.setattr(MlflowClient, "delete_model_version", refuse)
    model, run = f"slow-{done_before}-{permitted}", store.client.create_run("0").info.run_id
    slow: Any = Slow(store.client, done_before)
    with pytest.raises(ConnectionError):
        register(store.checkpoint, run, model=model, metrics={"val/iou": 0.5}, client=slow)
    assert register(store.checkpoint, run, model=model, metrics={"val/iou": 0.5}, client=slow) == "1"
    assert slow.made == asked
    assert str(store.client.get_model_version_by_alias(model, "candidate").version) == "1"
    versions = [str(version.version) for version in store.client.search_model_versions(f"name = '{model}'")]
    assert sorted(versions) == ["1", "2"][: 1 if permitted else asked]
    assert register(store.checkpoint, run, model=model, metrics={"val/iou": 0.5}, client=store.client) == "1"


def test_a_second_version_that_has_an_alias_stays(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody uses it."""
    (tmp_path / "file").write_text("model")
    monkeypatch.setattr(registry, "model_folder", lambda *arguments: contextlib.nullcontext(tmp_path))
    run = store.client.create_run("0").info.run_id
    assert register(store.checkpoint, run, model="used", alias=None, metrics={}, client=store.client) == "1"
    first = store.client.get_model_version("used", "1")
    store.client.create_model_version("used", first.source, run, tags=first.tags)
    store.client.set_registered_model_alias("used", "champion", "2")
    assert register(store.checkpoint, run, model="used", metrics={}, client=store.client) == "2"
    assert [str(version.version) for version in store.client.search_model_versions("name = 'used'")] == ["2"]


def test_a_version_holds_text_and_tensors_only(store: Store) -> None:
    folder = Path(store.client.get_model_version_download_uri("moe-dsr", "1").removeprefix("file://"))
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {path for path in names if path.startswith("artifacts/")} == {
        f"artifacts/checkpoint/{name}" for name in NEEDED
    }
    assert {"MLmodel", "pyfunc_model.py", "input_example.json", "code/moedsr/config.py"} <= names
    assert not [name for name in names if name.endswith((".pkl", ".pickle", ".pt", ".pyc"))]
    assert not [
        name for name in names if "mini_atlas" in name or "images" in name or name.startswith("code/moedsr_platform")
    ]
    requirements = (folder / "requirements.txt").read_text()
    assert "torch==" in requirements
    assert "+cpu" not in requirements
    assert not [name for name in ("ray", "optuna", "mlflow==") if name in requirements]
    assert "signature" in (folder / "MLmodel").read_text()


IMPORTED = """
import sys
import moedsr_platform.tracking.pyfunc_model
for name, module in list(sys.modules.items()):
    if name.split(".")[0] == "moedsr": print(module.__file__)
"""


def test_the_requirements_name_all_that_using_a_model_imports() -> None:
    """An environment that holds no more than the requirements must do; found by reading every module that is loaded."""
    done = subprocess.run([sys.executable, "-c", IMPORTED], capture_output=True, text=True, check=True)
    names = set()
    for file in done.stdout.split():
        for node in ast.walk(ast.parse(Path(file).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.split(".")[0])
    outside = names - set(sys.stdlib_module_names) - {"moedsr"}
    packages = importlib.metadata.packages_distributions()
    needed = {packages[name][0].lower().replace("_", "-") for name in outside}
    assert needed
    assert needed <= set(REQUIREMENTS)


def test_the_same_checkpoint_is_the_same_version(store: Store) -> None:
    assert register(store.checkpoint, store.trial, metrics={"val/iou": 0.5}, uri=store.uri) == "1"


def test_references_lead_to_the_checkpoint(store: Store) -> None:
    text = (store.checkpoint / "model.safetensors").read_text()
    references = [
        "models:/moe-dsr@candidate",
        "models:/moe-dsr/1",
        store.trial,
        store.sweep,
        f"runs:/{store.trial}",
    ]
    for reference in [*references, str(store.checkpoint)]:
        folder = resolve(reference, store.uri)
        assert (folder / "model.safetensors").read_text() == text


def test_results_that_were_moved_are_found_where_they_are_now(tmp_path: Path) -> None:
    """Read they are; written to they are not, since MLflow would make the old folder again."""
    (tmp_path / "old").mkdir()
    before = Store(tmp_path / "old")
    (tmp_path / "old").rename(tmp_path / "new")
    moved = f"sqlite:///{tmp_path / 'new' / 'mlflow.db'}"
    for reference in ("models:/moe-dsr@candidate", before.trial):
        folder = resolve(reference, moved)
        assert folder.is_relative_to(tmp_path / "new")
        assert (folder / "model.safetensors").exists()
    line = f"the results were moved from {tmp_path / 'old'} to {tmp_path / 'new'}, but .*: ln -s "
    with pytest.raises(InputError, match=line):
        Tracker.open(moved)
    assert not (tmp_path / "old").exists()
    (tmp_path / "old").symlink_to(tmp_path / "new")
    Tracker.open(moved).close()


def test_what_resolve_needs_is_what_checkpoints_hold() -> None:
    assert set(NEEDED) == {checkpoint_module.CONFIG, checkpoint_module.WEIGHTS, checkpoint_module.META}


@pytest.mark.parametrize(
    ("reference", "line"),
    [
        (
            "models:/moe-dsn@candidate",
            "no registered model 'moe-dsn' (did you mean `moe-dsr`?); registered: moe-dsr",
        ),
        ("models:/moe-dsr@best", "moe-dsr has no alias 'best'; versions: 1; aliases: candidate = version 1"),
        ("models:/moe-dsr/9", "moe-dsr has no version '9'; versions: 1"),
        ("models:/moe-dsr", "'models:/moe-dsr' names no version: versions: 1"),
        ("moe-dsr@candidate", "no model 'moe-dsr@candidate' (did you mean `models:/moe-dsr@candidate`?)"),
        ("0123456789abcdef" * 2, "no run '0123456789abcdef0123456789abcdef' in the tracking store"),
        ("runs:/nonsense", "no run 'nonsense' in the tracking store"),
        ("/", "/ is not a checkpoint directory: config.json, model.safetensors, meta.json missing"),
    ],
)
def test_wrong_references_name_what_exists(store: Store, reference: str, line: str) -> None:
    with pytest.raises(InputError) as raised:
        resolve(reference, store.uri)
    assert str(raised.value).startswith(line)
    assert "\n" not in str(raised.value)


def test_a_run_without_a_checkpoint(store: Store) -> None:
    with pytest.raises(InputError, match=r"\(t2, .*\) has no checkpoint"):
        resolve(store.empty_trial, store.uri)
    with pytest.raises(InputError, match=rf"run {store.empty_trial} has no registered model; registered: moe-dsr"):
        promote(store.empty_trial, "champion", store.uri)


def test_an_incomplete_checkpoint_is_not_registered(store: Store, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match=r"model\.safetensors, meta\.json missing"):
        register(tmp_path, store.trial, metrics={}, uri=store.uri)


def test_promote_prints_what_it_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    first = CliRunner().invoke(main, ["promote", "moe-dsr", "--alias", "champion"])
    assert first.exit_code == 0, first.output
    assert first.stdout.startswith("models:/moe-dsr@champion is now version 1: val/iou 0.500, naive/iou 0.250\n")
    assert "moedsr predict models:/moe-dsr@champion" in first.stdout
    newer = fake_checkpoint(tmp_path / "newer", step=9)
    assert register(newer, store.trial, metrics={"val/iou": 0.6}, uri=store.uri) == "2"
    assert resolve("models:/moe-dsr@champion").parent.parent != resolve("models:/moe-dsr@candidate").parent.parent
    second = CliRunner().invoke(main, ["promote", "moe-dsr"])
    assert "is now version 2 (was version 1): val/iou 0.6" in second.stdout
    assert promote("models:/moe-dsr/1", "champion", force=True).previous == "2"
    assert promote(store.trial, "champion").version == "2"
