"""What MLflow holds: one parent run a sweep, one child run a trial, written by the driver alone.

Workers never talk to MLflow: their metrics come through Ray, and the driver hands them to an ``Outbox``,
which keeps them on disk and sends them in the background. A run is found again by its tag, so a resumed sweep
continues its runs and doubles none.
"""

import getpass
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import yaml

from moedsr.config import Config
from moedsr.errors import InputError
from moedsr_platform.tracking.client import connect, new_client
from moedsr_platform.tracking.journal import Journal
from moedsr_platform.tracking.outbox import POINTS, Outbox
from moedsr_platform.tracking.run_artifacts import stage_checkpoint
from moedsr_platform.tracking.run_index import RunIndex
from moedsr_platform.tracking.run_names import (
    BEST_TAG,
    DASHBOARD_TAG,
    MODE_TAG,
    OBJECTIVE_TAG,
    STATE_TAG,
    SWEEP_TAG,
    TRAIN_RUNS_TAG,
    TRIAL_TAG,
    experiment_name,
)
from moedsr_platform.tracking.run_writer import RunWriter, is_permanent, readable
from moedsr_platform.tracking.store import artifact_folder, store_uri
from moedsr_platform.tracking.sweep_identity import take_key
from moedsr_platform.tracking.sweep_page import comparison_view

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

State = Literal["COMPLETE", "PRUNED", "FAIL"]
STATUS: Mapping[State, str] = {"COMPLETE": "FINISHED", "PRUNED": "FINISHED", "FAIL": "FAILED"}
"""MLflow's run status; that a run was pruned stands in its tag, because MLflow shows KILLED as a failure."""

LINKS = {"Ray dashboard": DASHBOARD_TAG, "Ray Train runs": TRAIN_RUNS_TAG}
"""What the pages of runs link to, by the tags that say where it is."""

History = Sequence[tuple[int, Mapping[str, float]]]


class Tracker:
    """Writes sweeps and trials. Methods return at once: an outbox carries their requests out in the background.

    Runs are named by keys; ``run_id`` is the store's own name of one.
    """

    def __init__(self, client: "MlflowClient", uri: str, experiment: str, folder: Path | None) -> None:
        # the outbox asks again, and looks first whether it was done; blindly repeated, as a user may have set it for
        # clients of his own, a run would be made twice and a registration refused
        os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
        self.client = client
        self.uri = uri
        self._temporary = None if folder else tempfile.TemporaryDirectory(prefix="moedsr-tracking-")
        self.folder = folder or Path(self._temporary.name)  # type: ignore[union-attr]
        self._files = self.folder / "files"
        artifacts = artifact_folder(uri)
        self._runs = RunIndex(client, experiment, artifacts.as_uri() if artifacts else None)
        self._writer = RunWriter(self._runs, self._files)
        journal = Journal(self.folder)
        self._sweep_key = take_key(self.folder, uri)
        self._links: dict[str, str] = {}
        self._compared: str | None = None  # the run whose trials a view compares
        self._outbox = Outbox(journal, self._writer.send, is_permanent)

    @classmethod
    def open(
        cls, uri: str | None = None, experiment: str | None = None, *, folder: Path | None = None, away: bool = False
    ) -> Self:
        """Connect, creating and migrating the store and the experiment; do this once, in the driver.

        Args:
            uri: of the store; default: the one in use.
            experiment: its name there; default: as ``experiment_name`` says.
            folder: keeps who the sweep is and what is not sent yet, so that a later process can go on; None for
                a process that needs nothing of that.
            away: begin although the server does not answer; what it is told waits in ``folder``.

        Raises:
            InputError: the store cannot be reached or written, or another process has the folder open.
        """
        address = store_uri(uri)
        client = new_client(address) if away else connect(address)
        tracker = cls(client, address, experiment or experiment_name(), folder)
        if not away:
            tracker._runs.experiment_id()
        return tracker

    @property
    def experiment(self) -> str:
        """Its name."""
        return self._runs.experiment

    @property
    def experiment_id(self) -> str:
        return self._runs.experiment_id()

    def sweep_run(
        self,
        name: str,
        tags: Mapping[str, str],
        params: Mapping[str, Any],
        sweep_file: Path | None = None,
        searched: Sequence[str] = (),
    ) -> str:
        """The parent run of a sweep, new or found again; returns its key.

        ``searched``: the configuration keys that differ between its trials.
        """
        source = str(sweep_file.name) if sweep_file else name
        own = {SWEEP_TAG: name, "moedsr.kind": "sweep", "mlflow.source.name": source}
        self._begin(self._sweep_key, name, None, {**own, **tags}, params)
        self._links = {name: tags[tag] for name, tag in LINKS.items() if tag in tags}
        metric, mode = tags.get(OBJECTIVE_TAG, "val/iou"), tags.get(MODE_TAG, "max")
        self._compared = self._sweep_key
        self._put("view", self._sweep_key, state=comparison_view(self._sweep_key, searched, metric, mode))
        if sweep_file is not None and sweep_file.is_file():
            text = sweep_file.read_text(encoding="utf-8")
            self._put("text", self._sweep_key, file="sweep.yaml", text=text)
        return self._sweep_key

    def trial_run(
        self,
        sweep_run: str | None,
        trial_id: str,
        config: Config,
        tags: Mapping[str, str],
        *,
        name: str | None = None,
        goes_on: bool = True,
    ) -> str:
        """The run of a trial, new or found again by its trial id within its sweep; returns its key.

        ``name`` is what the list of runs shows, the id where there is none.
        ``goes_on`` is False for a trial that ended before a resume: its run stays closed.
        """
        run = f"{self._sweep_key}/{trial_id}"
        own = {
            TRIAL_TAG: trial_id,
            "moedsr.kind": "trial",
            "moedsr.backbone": config.router.backbone,
            "moedsr.expert_kind": config.expert.kind,
            "moedsr.seed": str(config.training.seed),
            "mlflow.source.name": "moedsr",
        }
        self._begin(run, name or trial_id, sweep_run, {**own, **tags}, config.flat(), reopen=goes_on)
        if goes_on:
            text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
            self._put("text", run, file="config.yaml", text=text)
        return run

    def run_id(self, run: str) -> str:
        """The store's id of a run that was begun, after waiting until the store has everything.

        Raises:
            InputError: the store has no such run.
        """
        self.drain()
        return self._runs.run_id(run)

    def log_history(self, run: str, history: History) -> None:
        """Metrics by step. Steps that the store has already, from before a resume, are skipped."""
        now = time.time_ns() // 1_000_000
        points = [(name, float(value), step, now) for step, metrics in history for name, value in metrics.items()]
        if points:
            self._put(POINTS, run, points=points)

    def log_checkpoint(self, run: str, checkpoint: Path) -> None:
        """The checkpoint without its training state, routing tables and pictures, surfaces.

        The folder is copied before this returns: its trial may delete it afterwards, or has done so already, for a
        better one that will be told. One copy a run waits at most.
        """
        staged = stage_checkpoint(checkpoint, self._files, run.split("/")[-1])
        if staged is not None:
            self._put("upload", run, folder=staged.name)

    def finish_trial(self, run: str, state: State, reason: str | None = None, *, note: str | None = None) -> None:
        """Close a trial's run; ``reason`` says why it was pruned or failed, ``note`` stands on the run's page."""
        if note or reason:
            self._put("note", run, text=note or reason, links=self._links, best=run, compared=self._compared)
        why = {"moedsr.reason": reason} if reason else {}
        self._put("end", run, status=STATUS[state], tags={STATE_TAG: state, **why})

    def suspend(self, run: str) -> None:
        """Close the run of what was interrupted; it goes on when it is begun again."""
        self._put("end", run, status="KILLED", tags={STATE_TAG: "WAITING"})

    def abandon(self) -> None:
        """Close every run of the sweep that is shown as running: whoever ran it has left."""
        self._put("abandon", self._sweep_key)

    @property
    def abandoned(self) -> int:
        """How many runs were closed so."""
        return self._writer.abandoned

    def finish_sweep(
        self,
        run: str,
        table: str,
        *,
        note: str | None = None,
        best_run: str | None = None,
        metrics: Mapping[str, float] | None = None,
        state: State = "COMPLETE",
    ) -> None:
        """Close a sweep's run with its result table (Markdown), its best run and that one's metrics.

        ``note`` stands on the run's page, the whole table where it is None.
        """
        scores = {name: value for name, value in (metrics or {}).items() if not name.startswith(("system/", "perf/"))}
        self.log_history(run, [(0, scores)])
        if best_run is not None:
            self._put("best", run, tag=BEST_TAG, best=best_run)
        self._put("text", run, file="results.md", text=table)
        shown = table if note is None else note
        self._put("note", run, text=shown, links=self._links, best=best_run, compared=run)
        self._put("end", run, status=STATUS[state], tags={STATE_TAG: state})

    def register(
        self, run: str, checkpoint: Path, *, model: str, alias: str | None, metrics: Mapping[str, float]
    ) -> str | None:
        """A checkpoint of a run becomes a version of a registered model.

        Returns:
            The version, or None when the store is away: then it is registered as soon as the store answers.

        Raises:
            InputError: the registry refuses it.
        """
        self._put("register", run, checkpoint=str(checkpoint), model=model, alias=alias, metrics=dict(metrics))
        self.drain()
        version = self._writer.versions.get(run)
        if isinstance(version, Exception):
            raise InputError(f"{checkpoint} was not registered as {model}: {version}")
        return version

    def tag(self, run: str, tags: Mapping[str, str]) -> None:
        """Set tags of a run."""
        self._put("tags", run, tags=dict(tags))

    @property
    def found(self) -> int:
        """How many requests an earlier process had left."""
        return self._outbox.found

    @property
    def waiting(self) -> int:
        """How many requests the store has not taken yet."""
        return self._outbox.waiting

    def drain(self, timeout: float = 60.0) -> bool:
        """Wait until the store has everything; False when it took nothing more for so long."""
        return self._outbox.drain(timeout)

    def close(self, timeout: float = 20.0) -> bool:
        """Send what is left and stop; False, with a warning logged, when the store did not take it all."""
        sent = self._outbox.close(timeout)
        if sent:
            shutil.rmtree(self._files, ignore_errors=True)
        else:
            kept = "is lost" if self._temporary else f"waits in {self.folder}; `moedsr sync` sends it"
            log.warning("tracking: %s did not take everything; the rest %s", self.uri, kept)
        if self._temporary:
            self._temporary.cleanup()
        return sent

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _begin(
        self,
        run: str,
        name: str,
        parent: str | None,
        tags: Mapping[str, str],
        params: Mapping[str, Any],
        reopen: bool = True,
    ) -> None:
        own = {"mlflow.source.type": "LOCAL", "mlflow.user": _user()}
        values = {key: readable(value) for key, value in params.items()}
        self._put("begin", run, name=name, parent=parent, tags={**own, **tags}, params=values, reopen=reopen)

    def _put(self, kind: str, run: str, **arguments: Any) -> None:
        # the sweep notes next that it is done with a trial, and would not say it again
        self._outbox.put({"kind": kind, "run": run, **arguments}, lasting=kind in ("end", "register"))


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return str(os.getuid())
