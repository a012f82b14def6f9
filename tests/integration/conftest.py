"""What the tests of whole sweeps share: three tiny proteins prepared once, an environment, processes by their mark."""

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from killing import MakeScene, Scene

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MINI_ATLAS = ROOT / "moedsr" / "structures" / "mini_atlas"
SPLITS = {"train": ["1l2y_A", "1crn_A"], "val": ["1vii_A"]}


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two bundled proteins to train on, one to validate."""
    folder = tmp_path_factory.mktemp("source")
    for name in (name for names in SPLITS.values() for name in names):
        shutil.copytree(MINI_ATLAS / name, folder / name)
    (folder / "splits.json").write_text(json.dumps(SPLITS), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all tests: each store is prepared once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def make_environment(cache: Path, copy_store: Callable[[Path], None]) -> Iterator[Callable[..., dict[str, str]]]:
    """The environment of a sweep that keeps all it writes in one folder. Ends whatever a failed test left running.

    Its tracking store is there already, unless ``fresh``.
    """
    made: list[Path] = []
    given = [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []

    def make(folder: Path, *, fresh: bool = False) -> dict[str, str]:
        if not (fresh or (folder / "results" / "mlflow.db").exists()):
            copy_store(folder / "results" / "mlflow.db")
        own = {
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "platform"), str(HERE), *given]),
            "MOEDSR_HOME": str(folder / "results"),
            "MOEDSR_CACHE": str(cache),
            "FAKE_LOG": str(folder / "starts.txt"),
            "OMP_NUM_THREADS": "1",
        }
        made.append(folder)
        dropped = ("MLFLOW_TRACKING_URI", "RAY_ADDRESS")
        return {**{key: value for key, value in os.environ.items() if key not in dropped}, **own}

    yield make
    for folder in made:
        kill_all(folder)


@pytest.fixture
def environment(tmp_path: Path, make_environment: Callable[[Path], dict[str, str]]) -> dict[str, str]:
    return make_environment(tmp_path)


@pytest.fixture(scope="session")
def kill_tree() -> Callable[[Path], int]:
    """kill -9 of a sweep with all its Ray processes."""
    return kill_all


def kill_all(folder: Path) -> int:
    """kill -9 of every process whose environment names this folder's log; says how many there were."""
    mark = f"FAKE_LOG={folder / 'starts.txt'}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue  # gone, or not ours
    for pid in found:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    return len(found)


@pytest.fixture(scope="session")
def runs_in() -> Callable[[Path], list[Any]]:
    """All MLflow runs of a results folder."""

    def runs(results: Path) -> list[Any]:
        import mlflow

        client = mlflow.MlflowClient(f"sqlite:///{results / 'mlflow.db'}")
        experiment = client.get_experiment_by_name("moe-dsr")
        assert experiment is not None
        return client.search_runs([experiment.experiment_id])

    return runs


FAKE = """\
name: fake
base:
  data:
    source: {source}
    prepare: {{frames: 4, surface_points: 300, grid_spacing: 1.0, occupancy_grid: 24}}
  training: {{steps: 40, report_every: 5, validate_every: 10}}
search: {search}
sampler: {sampler}
trials: {trials}
resources: {{workers: {workers}, cpus_per_worker: 1, gpus_per_worker: {gpus}, concurrent_trials: {at_once},
  worker_restarts: {restarts}{more}}}
{rest}"""
SEARCHED = "{expert.count: {int: [4, 12]}, training.learning_rate: {loguniform: [1.0e-4, 1.0e-2]}}"


@pytest.fixture
def make_scene(
    tmp_path: Path, source: Path, make_environment: Callable[..., dict[str, str]], request: pytest.FixtureRequest
) -> MakeScene:
    """A sweep with the fast stand-in for training, in a folder of its own; slow tests kill its store's making, too."""
    fresh = request.node.get_closest_marker("slow") is not None

    def make(name: str, **changes: object) -> Scene:
        folder = tmp_path / name
        folder.mkdir()
        file = folder / "fake.yaml"
        usual = {
            "sampler": "tpe",
            "trials": 5,
            "at_once": 1,
            "restarts": 1,
            "workers": 1,
            "gpus": 0,
            "more": "",
            "rest": "",
            "search": SEARCHED,
        }
        file.write_text(FAKE.format(source=source, **usual | changes), encoding="utf-8")
        return Scene(file, folder, make_environment(folder, fresh=fresh))

    return make


TINY = """\
name: {name}
{base}:
  data:
    source: {source}
    prepare: {{frames: 4, surface_points: 300, grid_spacing: 1.0, occupancy_grid: 24}}
  router:
    cloud_points: 64
    point_features: 4
    residue_features: 4
    protein_features: 4
    hidden_channels: 4
    layers: 1
  gate: {{top_k: 2}}
  expert: {{kind: plain, count: 2, hidden_layers: 2, hidden_size: 24, harmonic_channels: 4, latent_size: 4}}
  training:
    steps: {steps}
    batch_size: 2
    frames_per_protein: 1
    surface_points: 64
    learning_rate: 0.003
    warmup_steps: 2
    ema_decay: 0.5
    report_every: 5
    validate_every: {validate_every}
  evaluation: {{frames: 2, surface_samples: 300, fit_steps: 2, fit_points: 32}}
"""
SEARCH = """\
search:
  expert.count: {grid: [2, 3]}
sampler: grid
"""


@pytest.fixture(scope="session")
def tiny_file(source: Path) -> Callable[..., Path]:
    """A sweep of two trials, or a run, with the real training on the three proteins: seconds of computing."""

    def write(
        path: Path, *, steps: int = 5, validate_every: int | None = None, run: bool = False, workers: int = 1
    ) -> Path:
        often = validate_every or steps
        text = TINY.format(name=path.stem, base="base", source=source, steps=steps, validate_every=often)
        if run:  # the sections stand at the top level
            head, _, sections = text.partition("base:\n")
            text = head + "".join(line.removeprefix("  ") for line in sections.splitlines(keepends=True))
        else:
            text += SEARCH
        text += (
            f"resources: {{workers: {workers}, cpus_per_worker: 1}}\nregister: {{model: moe-dsr, alias: candidate}}\n"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write
