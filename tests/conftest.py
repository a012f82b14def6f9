"""Shared fixtures."""

import functools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import builders
import pytest
import torch
from e3nn import o3

from moedsr.batches.batch import ProteinBatch, TrainingBatch
from moedsr.config import Config, DataConfig, EvaluationConfig, PrepareConfig, TrainingConfig
from moedsr.store.prepare import prepare_serially
from moedsr.store.store import SurfaceStore
from moedsr_platform.tracking import client as tracking_client
from moedsr_platform.tracking.store import SQLITE, sqlite_path

TINY = PrepareConfig(frames=6, surface_points=400, grid_spacing=1.0, occupancy_grid=32)
"""Four proteins, coarse surfaces: seconds to prepare."""


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked ``gpu`` run where there is one."""
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")


@pytest.fixture(scope="session")
def copy_store(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], None]:
    """Puts an empty tracking store at a path: made once and copied, since MLflow takes seconds to make its tables."""
    template = tmp_path_factory.mktemp("template") / "mlflow.db"
    make = tracking_client._make

    def copy(path: Path) -> None:
        if not template.exists():
            make(f"{SQLITE}{template}")
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(template, path)

    return copy


@pytest.fixture(autouse=True, scope="session")
def _stores_are_copies(copy_store: Callable[[Path], None]) -> Iterator[None]:
    """Those that tests make in their own process."""
    make = tracking_client._make

    @functools.wraps(make)
    def copy(address: str) -> None:
        path = sqlite_path(address)
        if path is None or path.exists():
            make(address)
        else:
            copy_store(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tracking_client, "_make", copy)
        yield


@pytest.fixture
def small_config() -> Config:
    """A configuration whose model computes in milliseconds."""
    return builders.small_config()


@pytest.fixture
def make_proteins() -> Callable[..., ProteinBatch]:
    """Random bumpy clouds with residues below them, in float64."""
    return builders.make_proteins


@pytest.fixture
def make_batch() -> Callable[..., TrainingBatch]:
    """A training batch over ``make_proteins`` with random query points."""
    return builders.make_batch


@pytest.fixture
def turn() -> Callable[[ProteinBatch], tuple[ProteinBatch, torch.Tensor]]:
    """Turn and move proteins at random; also returns the rotation."""

    def turn_proteins(proteins: ProteinBatch) -> tuple[ProteinBatch, torch.Tensor]:
        rotation = o3.rand_matrix(dtype=torch.float64)
        shift = torch.randn(3, dtype=torch.float64)
        return builders.rotated(proteins, rotation, shift), rotation

    return turn_proteins


@pytest.fixture(scope="session")
def tiny_store(tmp_path_factory: pytest.TempPathFactory) -> SurfaceStore:
    """Two proteins to train on, one to validate, one to test."""
    names = ("1l2y_A", "1ppe_I", "1gl1_I", "1vii_A")
    return prepare_serially("mini-atlas", TINY, tmp_path_factory.mktemp("tiny") / "store", names)


@pytest.fixture
def tiny_run(tiny_store: SurfaceStore, small_config: Config) -> Config:
    """A run on the tiny store that takes seconds."""
    return small_config.model_copy(
        update={
            "data": DataConfig(store=Path(tiny_store.path), prepare=TINY),
            "training": TrainingConfig(
                steps=6,
                batch_size=2,
                frames_per_protein=2,
                surface_points=64,
                learning_rate=2e-3,
                warmup_steps=2,
                report_every=2,
                validate_every=4,
            ),
            "evaluation": EvaluationConfig(frames=2, surface_samples=500, fit_steps=3, fit_points=64),
        }
    )
