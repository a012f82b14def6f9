"""The guard of `promote`: no worse than what users have, and only what compares is compared."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from moedsr.config import Config
from moedsr.errors import InputError
from moedsr.evaluation.scores import TRACKED, Evaluation, FrameScore
from moedsr_platform.cli import main
from moedsr_platform.tracking import registry as registry_module
from moedsr_platform.tracking.client import connect
from moedsr_platform.tracking.evaluation_record import EvaluationRecord
from moedsr_platform.tracking.promotion import promote
from moedsr_platform.tracking.registry import register
from moedsr_platform.tracking.tracker import Tracker


class Registry:
    """A store in which versions are registered one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.uri, self.number = folder, f"sqlite:///{folder / 'mlflow.db'}", 0
        self.client = connect(self.uri)

    def add(self, iou: float | None, *, store: str = "f00d", stride: int = 4, objective: str = "val/iou") -> str:
        """Registers a model with this score; returns its run."""
        self.number += 1
        folder = self.folder / f"checkpoint-{self.number}"
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({"evaluation": {"grid_stride": stride}}))
        (folder / "model.safetensors").write_text("")
        (folder / "meta.json").write_text(json.dumps({"step": 1, "store_fingerprint": store, "git_commit": "c0ffee"}))
        with Tracker.open(self.uri) as tracker:
            config = Config.model_validate_json('{"data": {"source": "mini-atlas"}}')
            tags = {"moedsr.objective": objective, "moedsr.mode": "min" if "chamfer" in objective else "max"}
            run = tracker.run_id(tracker.trial_run(None, f"t{self.number}", config, tags))
        register(folder, run, metrics={} if iou is None else {objective: iou}, uri=self.uri)
        return run

    def champion(self) -> str:
        return str(self.client.get_model_version_by_alias("moe-dsr", "champion").version)


@pytest.fixture(autouse=True)
def _no_model_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions without the second that it takes to write down a model."""

    @contextmanager
    def empty(checkpoint: Path, *arguments: str) -> Iterator[Path]:
        yield checkpoint

    monkeypatch.setattr(registry_module, "model_folder", empty)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    registry = Registry(tmp_path)
    registry.add(0.5)
    promote("moe-dsr", "champion", registry.uri)
    return registry


def test_the_first_champion_has_nobody_to_beat(registry: Registry) -> None:
    assert registry.champion() == "1"
    assert promote("moe-dsr", "champion", registry.uri).comparison is None  # again, against itself


@pytest.mark.parametrize("iou", [0.5, 0.6])
def test_one_that_is_no_worse_takes_its_place(registry: Registry, iou: float) -> None:
    registry.add(iou)
    done = promote("moe-dsr", "champion", registry.uri)
    assert (done.version, done.previous) == ("2", "1")
    assert done.comparison == f"val/iou {iou:.4f} against 0.5000 on the same store"


@pytest.mark.parametrize(
    ("version", "line"),
    [
        ({"iou": 0.4}, "version 2 is worse than version 1: val/iou 0.4000 against 0.5000 on the same store"),
        ({"iou": float("nan")}, "version 2 is worse than version 1: val/iou nan"),
        ({"iou": 0.9, "store": "beef"}, "version 2 was scored on the store beef, version 1 on the store f00d"),
        ({"iou": 0.9, "stride": 1}, "with the evaluation grid_stride=1, version 1 with the evaluation grid_stride=4"),
        ({"iou": 0.9, "objective": "val/chamfer"}, "version 2 was scored by val/chamfer, version 1 by val/iou"),
        ({"iou": None}, "version 2 has no val/iou: nobody can tell which is better"),
    ],
)
def test_what_is_worse_or_does_not_compare_needs_force(
    registry: Registry, version: dict[str, object], line: str
) -> None:
    registry.add(**version)  # type: ignore[arg-type]
    with pytest.raises(InputError) as refused:
        promote("moe-dsr", "champion", registry.uri)
    assert line in str(refused.value)
    assert "`moedsr promote moe-dsr/2 --alias champion --force`" in str(refused.value)
    assert registry.champion() == "1"
    forced = promote("moe-dsr", "champion", registry.uri, force=True)
    assert forced.comparison is not None
    assert forced.comparison.startswith("forced, although ")
    assert registry.champion() == "2"


def test_a_smaller_distance_is_better(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    for chamfer in (0.02, 0.01):
        registry.add(chamfer, objective="val/chamfer")
        promote("moe-dsr", "champion", registry.uri)
    assert registry.champion() == "2"
    registry.add(0.03, objective="val/chamfer")
    with pytest.raises(InputError, match="version 3 is worse than version 2"):
        promote("moe-dsr", "champion", registry.uri)


def keep_evaluation(registry: Registry, run: str, iou: float, store: str = "whole") -> None:
    """What `moedsr evaluate --split val` leaves in a run."""
    predictors = {"model": iou, "naive": 0.3, "oracle": 0.9}
    scores = [
        FrameScore(protein="1vii_A", frame=1, time=0.0, predictor=name, values=dict.fromkeys(TRACKED, value))
        for name, value in predictors.items()
    ]
    record = EvaluationRecord(split="val", store_fingerprint=store, grid_stride=1, evaluation=Evaluation(scores))
    record.log(registry.client, run)


def test_evaluations_on_one_store_count_more_than_the_scores_of_training(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    first = registry.add(0.9)
    promote("moe-dsr", "champion", registry.uri)
    second = registry.add(0.1, store="beef")
    keep_evaluation(registry, first, 0.5)
    with pytest.raises(InputError, match="scored on the store beef"):
        promote("moe-dsr", "champion", registry.uri)
    keep_evaluation(registry, second, 0.6, store="other")
    with pytest.raises(InputError, match="scored on the store beef"):
        promote("moe-dsr", "champion", registry.uri)
    keep_evaluation(registry, second, 0.6)
    done = promote("moe-dsr", "champion", registry.uri)
    assert done.comparison == "evaluated val/iou 0.6000 against 0.5000 on the same store"


def test_the_command_says_how_they_compare(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.uri)
    registry.add(0.4)
    refused = CliRunner().invoke(main, ["promote", "moe-dsr"])
    assert refused.exit_code == 2
    assert refused.stderr.count("\n") == 1
    forced = CliRunner().invoke(main, ["promote", "moe-dsr", "--force"])
    assert forced.exit_code == 0
    assert "\n  forced, although version 2 is worse than version 1: val/iou 0.4000 against 0.5000" in forced.stdout
