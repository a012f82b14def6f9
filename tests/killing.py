"""Sweeps that are killed: their processes by kind, and what must come out."""

import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fake_training import series

DRIVER = Path(__file__).resolve().parent / "integration" / "fake_training.py"
TRIAL, RAYLET, GCS = r"^ray::ImplicitFunc", r"/raylet/raylet ", r"/gcs/gcs_server "
WORKER, CONTROLLER = r"^ray::RayTrainWorker", r"^ray::TrainController"
PARTS = {"trial": TRIAL, "worker": WORKER, "controller": CONTROLLER, "raylet": RAYLET, "gcs": GCS, "everything": ""}
SURVIVED = ("trial", "worker", "controller")
"""Parts whose loss a session gets over by itself."""
SIGNALS = ("SIGTERM", "SIGINT", "SIGHUP")
SESSIONS = 60
"""A sweep that is killed all the time needs no more; one that does makes no progress."""

RESPITE = 1.15
"""How much longer each session is left alone than the one before: on a machine that grows slow, one comes to an end."""


@dataclass
class Scene:
    """One sweep, in a folder of its own.

    Attributes:
        file: the sweep.
        folder: holds ``results``; its name marks all processes, which inherit the environment.
        environment: of the driver, and, but for a cluster that was there before, of everything below it.
    """

    file: Path
    folder: Path
    environment: dict[str, str]
    name: str = "fake"
    command: tuple[str, ...] = (sys.executable, str(DRIVER))
    kills: dict[str, int] = field(default_factory=dict)

    def start(self, *, resume: bool, **more: str) -> "subprocess.Popen[str]":
        """A driver; its output is added to ``output.txt``."""
        line = [*self.command, str(self.file), *(["--resume"] if resume else [])]
        with (self.folder / "output.txt").open("a") as output:
            return subprocess.Popen(
                line,
                env={**self.environment, **more},
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                preexec_fn=_signals_as_on_a_terminal,
            )

    @property
    def output(self) -> str:
        return (self.folder / "output.txt").read_text()

    @property
    def sweep(self) -> Path:
        return self.folder / "results" / "sweeps" / self.name

    @property
    def begun(self) -> bool:
        """Whether there is something to resume."""
        return (self.sweep / "sweep.json").exists()

    @property
    def rows(self) -> list[dict[str, Any]]:
        place = self.sweep / "trials.json"
        return json.loads(place.read_text()) if place.exists() else []

    def events(self) -> list[dict[str, Any]]:
        """What happened, trials by their number instead of their id; a line that is being written is left out."""
        place = self.sweep / "log.jsonl"
        text = place.read_text() if place.exists() else ""
        lines = text[: text.rfind("\n") + 1].splitlines()[1:]
        return [{**event, "trial": event["trial"].split("-")[1], **_same(event)} for event in map(json.loads, lines)]

    def wait_for(self, condition: Callable[[], bool], process: "subprocess.Popen[str]", seconds: float = 600) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert process.poll() is None, f"the sweep ended too early:\n{self.output}"
            assert time.monotonic() < deadline, self.output
            time.sleep(0.05)

    def kill(self, what: str, pids: list[int]) -> bool:
        """kill -9; whether there was anything to kill."""
        before = self.kills.get(what, 0)
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
                self.kills[what] = self.kills.get(what, 0) + 1
            except ProcessLookupError:
                continue
        return self.kills.get(what, 0) > before

    def processes(self, pattern: str = "") -> list[int]:
        """Ids of this scene's processes, those whose command line matches."""
        mark = f"FAKE_LOG={self.environment['FAKE_LOG']}".encode()
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if mark not in (entry / "environ").read_bytes().split(b"\0"):
                    continue
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue  # gone, or not ours
            if re.search(pattern, line):
                found.append(int(entry.name))
        return found


MakeScene = Callable[..., Scene]
"""The fixture ``make_scene``: a name, and what is to differ from the usual sweep."""


def torment(
    scene: Scene, chance: random.Random, kinds: Sequence[str], longest: float = 12.0, **environment: str
) -> int:
    """Strikes at random moments and resumes, until the sweep has ended in spite of it.

    Args:
        scene: the sweep.
        chance: decides when, and what.
        kinds: of strikes: keys of ``PARTS``, ``driver``, names of signals, or ``twice`` for two signals.
        longest: seconds between two in the first session, see ``RESPITE``.
        environment: of the sessions.

    Returns:
        how many sessions it took.
    """
    for session in itertools.count(1):
        assert session < SESSIONS, scene.output
        process, struck = scene.start(resume=scene.begun, **{"FAKE_SECONDS": "0.05", **environment}), False
        while process.poll() is None:
            try:
                process.wait(chance.uniform(0, longest * RESPITE ** (session - 1)))
            except subprocess.TimeoutExpired:
                what = chance.choice(kinds)
                if not strike(scene, process, what, chance) or what in SURVIVED:
                    continue
                struck = True
                try:
                    process.wait(120)
                except subprocess.TimeoutExpired:
                    raise AssertionError(f"still runs after {what}:\n{scene.output}") from None
        if process.returncode == 0:
            return session
        assert struck, f"ended by itself with {process.returncode}:\n{scene.output}"
    raise AssertionError


def strike(scene: Scene, process: "subprocess.Popen[str]", what: str, chance: random.Random) -> bool:
    """One blow to a sweep that runs; whether it hit anything."""
    if what in PARTS:
        return scene.kill(what, scene.processes(PARTS[what]))
    if what == "driver":
        return scene.kill(what, [process.pid])
    process.send_signal(getattr(signal, chance.choice(SIGNALS) if what == "twice" else what))
    scene.kills[what] = scene.kills.get(what, 0) + 1
    if what == "twice":
        time.sleep(chance.uniform(0, 2))
        process.send_signal(signal.SIGINT)
    return True


def _signals_as_on_a_terminal() -> None:
    """Where the tests themselves run in the background, Ctrl-C is ignored, and that would be inherited."""
    for name in SIGNALS:
        signal.signal(getattr(signal, name), signal.SIG_DFL)


def outcome(scene: Scene, uri: str | None = None) -> dict[str, Any]:
    """All that a sweep leaves and that an interruption must not change: its table, and its runs in MLflow.

    Speed, memory and places are left out; a metric that is stored twice at a step is an error here already.
    """
    import mlflow

    client = mlflow.MlflowClient(uri or f"sqlite:///{scene.folder / 'results' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("moe-dsr")
    assert experiment is not None
    found: dict[str, Any] = {
        "rows": [
            {key: value for key, value in row.items() if key not in ("trial_id", "checkpoint")} for row in scene.rows
        ]
    }
    for row in found["rows"]:
        row["best"] = _measured(row["best"])
    runs = client.search_runs([experiment.experiment_id])
    for run in runs:
        kind = run.data.tags["moedsr.kind"]
        name = kind if kind == "sweep" else run.data.tags["moedsr.trial_id"].split("-")[1]
        assert name not in found, f"{name} has two runs"
        found[name] = {
            "status": run.info.status,
            "state": run.data.tags["moedsr.state"],
            "reason": run.data.tags.get("moedsr.reason"),
            "params": {key: value for key, value in run.data.params.items() if key != "data.store" and kind == "trial"},
            "metrics": {metric: history(client, run.info.run_id, metric) for metric in _measured(run.data.metrics)},
        }
    return found


def check_whole(scene: Scene, trials: int) -> None:
    """Every trial complete, each step of each tracked once and with the number that it has without any trouble."""
    found = outcome(scene)
    assert [row["state"] for row in found["rows"]] == ["COMPLETE"] * trials
    for row in found["rows"]:
        run = found[f"{row['number']:03d}"]
        assert run["status"] == "FINISHED"
        assert run["metrics"]["train/loss"] == pytest.approx(series(row["params"]["expert.count"], 40), abs=1e-12)
        assert sorted(run["metrics"]["val/iou"]) == [10, 20, 30, 40]
    assert "Traceback" not in scene.output


def study(scene: Scene) -> list[dict[str, Any]]:
    """The points that Optuna has: their values, state and learning curves, and how many trials tried each."""
    import optuna

    (found,) = optuna.get_all_study_names(storage := f"sqlite:///{scene.sweep / 'optuna.db'}")
    trials = optuna.load_study(study_name=found, storage=storage).trials
    return [
        {
            "params": trial.params,
            "state": trial.state.name,
            "values": trial.values,
            "curve": trial.intermediate_values,
            "trials": len(trial.user_attrs.get("trials", [])),
        }
        for trial in trials
    ]


def kept(scene: Scene) -> dict[str, list[str]]:
    """What each trial keeps on disk, by its number."""
    return {
        trial.name.split("-")[1]: sorted(path.name for path in trial.iterdir())
        for trial in (scene.sweep / "trials").iterdir()
        if trial.is_dir()
    }


def _same(event: dict[str, Any]) -> dict[str, Any]:
    """What of an event an interruption must not change."""
    changed = {"metrics": _measured(event["metrics"])} if "metrics" in event else {}
    return {**changed, "checkpoint": None}


def _measured(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if not name.startswith(("system/", "perf/"))}


def history(client: Any, run_id: str, metric: str) -> dict[int, float]:
    """Values by step; one that is stored twice at a step is an error."""
    points = client.get_metric_history(run_id, metric)
    assert len({point.step for point in points}) == len(points), f"{metric} is stored twice"
    return {point.step: point.value for point in sorted(points, key=lambda point: point.step)}
