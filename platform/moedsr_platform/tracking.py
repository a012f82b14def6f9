"""What MLflow holds: one parent run a sweep, one child run a trial, written by the driver alone.

Workers never talk to MLflow: their metrics come through Ray, and the driver hands them to an ``Outbox``,
which sends them in the background. A run is found again by its tag, so a resumed sweep continues its runs and
doubles none.
"""

import getpass
import logging
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import yaml

from moedsr.config import Config
from moedsr.errors import InputError
from moedsr_platform.outbox import Outbox
from moedsr_platform.run_artifacts import stage_checkpoint
from moedsr_platform.run_writer import LONGEST_TAG, RunWriter, is_permanent
from moedsr_platform.tracking_store import artifact_folder, check_store, migration_lock, store_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

SWEEP_TAG = "moedsr.sweep_id"
TRIAL_TAG = "moedsr.trial_id"
STATE_TAG = "moedsr.state"
BEST_TAG = "moedsr.best_run"
PARENT_TAG = "mlflow.parentRunId"
EXPERIMENT = "moe-dsr"

State = Literal["COMPLETE", "PRUNED", "FAIL"]
STATUS: Mapping[State, str] = {"COMPLETE": "FINISHED", "PRUNED": "FINISHED", "FAIL": "FAILED"}
"""MLflow's run status; that a run was pruned stands in its tag, because MLflow shows KILLED as a failure."""

History = Sequence[tuple[int, Mapping[str, float]]]


def connect(uri: str | None = None, *, create: bool = True) -> "MlflowClient":
    """A client of the store in use, migrated, or an error within seconds.

    Raises:
        InputError: see ``check_store``; or the store refuses the first request.
    """
    address = store_uri(uri)
    check_store(address, create=create)
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # the outbox is the patient one
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow  # a second long, and it reads the environment

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    client = mlflow.MlflowClient(tracking_uri=address, registry_uri=address)
    try:
        with migration_lock(address):
            client.search_experiments(max_results=1)
    except Exception as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(f"tracking store {address} refuses to work: {first[:200]}") from error
    return client


class Tracker:
    """Writes sweeps and trials. Methods return at once, except those that make a run."""

    def __init__(self, client: "MlflowClient", uri: str, experiment_id: str) -> None:
        self.client = client
        self.uri = uri
        self.experiment_id = experiment_id
        self._writer = RunWriter(client)
        self._outbox = Outbox(self._writer.points, is_permanent)
        self._stage = tempfile.TemporaryDirectory(prefix="moedsr-tracking-")

    @classmethod
    def open(cls, uri: str | None = None, experiment: str = EXPERIMENT) -> Self:
        """Connect, creating and migrating the store and the experiment; do this once, in the driver.

        Raises:
            InputError: the store cannot be reached or written.
        """
        address = store_uri(uri)
        client = connect(address)
        found = client.get_experiment_by_name(experiment)
        if found is not None and found.lifecycle_stage != "active":
            raise InputError(f"experiment {experiment!r} is deleted in {address}: restore it, or name another one")
        folder = artifact_folder(address)
        experiment_id = (
            found.experiment_id
            if found
            else client.create_experiment(experiment, artifact_location=folder.as_uri() if folder else None)
        )
        return cls(client, address, experiment_id)

    def sweep_run(
        self, name: str, tags: Mapping[str, str], params: Mapping[str, Any], sweep_file: Path | None = None
    ) -> str:
        """The parent run of a sweep, new or found again by its tag ``moedsr.sweep_id`` (else its name)."""
        sweep_id = tags.get(SWEEP_TAG, name)
        run = self._find(f"tags.`{SWEEP_TAG}` = '{sweep_id}' AND tags.`moedsr.kind` = 'sweep'")
        if run is None:
            source = str(sweep_file.name) if sweep_file else name
            run = self._create(
                name, {SWEEP_TAG: sweep_id, "moedsr.kind": "sweep", "mlflow.source.name": source, **tags}
            )
        self._begin(run, params)
        run_id: str = run.info.run_id
        if sweep_file is not None and sweep_file.is_file():
            text = sweep_file.read_text(encoding="utf-8")
            self._outbox.task(run_id, "the sweep file", lambda: self.client.log_text(run_id, text, "sweep.yaml"))
        return run_id

    def trial_run(
        self,
        sweep_run_id: str | None,
        trial_id: str,
        config: Config,
        tags: Mapping[str, str],
        *,
        name: str | None = None,
    ) -> str:
        """The run of a trial, new or found again by its trial id within its sweep."""
        parent = f" AND tags.`{PARENT_TAG}` = '{sweep_run_id}'" if sweep_run_id else ""
        run = self._find(f"tags.`{TRIAL_TAG}` = '{trial_id}'{parent}")
        if run is None:
            own = {
                TRIAL_TAG: trial_id,
                "moedsr.kind": "trial",
                "moedsr.backbone": config.router.backbone,
                "moedsr.expert_kind": config.expert.kind,
                "moedsr.seed": str(config.training.seed),
                "mlflow.source.name": "moedsr",
            }
            if sweep_run_id:
                own[PARENT_TAG] = sweep_run_id
            run = self._create(name or trial_name(trial_id, config), {**own, **tags})
        run_id: str = run.info.run_id
        self._begin(run, config.flat())
        text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
        self._outbox.task(run_id, "the configuration", lambda: self.client.log_text(run_id, text, "config.yaml"))
        return run_id

    def log_history(self, run_id: str, history: History) -> None:
        """Metrics by step. Steps that the store has already, from before a resume, are skipped."""
        now = time.time_ns() // 1_000_000
        points = [(name, float(value), step, now) for step, metrics in history for name, value in metrics.items()]
        if points:
            self._outbox.points(run_id, points)

    def log_checkpoint(self, run_id: str, checkpoint: Path) -> None:
        """The checkpoint without its training state, routing tables and pictures, surfaces.

        The folder is copied before this returns: Ray may delete it afterwards.
        """
        staged = stage_checkpoint(checkpoint, Path(self._stage.name))
        self._outbox.task(run_id, f"checkpoint {checkpoint.name}", lambda: self._writer.upload(run_id, staged))

    def finish_trial(self, run_id: str, state: State, reason: str | None = None) -> None:
        """Close a trial's run; ``reason`` says why it was pruned or failed."""
        tags = {
            STATE_TAG: state,
            **({"moedsr.reason": reason, "mlflow.note.content": reason} if reason else {}),
        }
        self._outbox.task(run_id, f"the end of run {run_id}", lambda: self._writer.end(run_id, STATUS[state], tags))

    def finish_sweep(
        self,
        run_id: str,
        table: str,
        *,
        best_run_id: str | None = None,
        metrics: Mapping[str, float] | None = None,
        state: State = "COMPLETE",
    ) -> None:
        """Close a sweep's run with its result table (Markdown), its best run and that one's metrics."""
        tags = {
            STATE_TAG: state,
            "mlflow.note.content": table,
            **({BEST_TAG: best_run_id} if best_run_id else {}),
        }
        self.log_history(run_id, [(0, metrics)] if metrics else [])
        self._outbox.task(run_id, "the result table", lambda: self.client.log_text(run_id, table, "results.md"))
        self._outbox.task(run_id, f"the end of run {run_id}", lambda: self._writer.end(run_id, STATUS[state], tags))

    def tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of a run."""
        self._outbox.task(run_id, "tags", lambda: self._writer.tags(run_id, tags))

    def drain(self, timeout: float = 60.0) -> bool:
        """Wait until the store has everything; False when the time ran out."""
        return self._outbox.drain(timeout)

    def close(self, timeout: float = 60.0) -> bool:
        """Send what is left and stop; False, with a warning logged, when the store did not take it all."""
        sent = self._outbox.close(timeout)
        self._stage.cleanup()
        return sent

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # making and finding runs

    def _find(self, condition: str) -> "Run | None":
        runs = self.client.search_runs([self.experiment_id], condition, max_results=1, order_by=["start_time ASC"])
        return runs[0] if runs else None

    def _create(self, name: str, tags: Mapping[str, str]) -> "Run":
        own = {"mlflow.source.type": "LOCAL", "mlflow.user": _user(), STATE_TAG: "RUNNING"}
        values = {key: str(value)[:LONGEST_TAG] for key, value in {**own, **tags}.items()}
        run = self.client.create_run(self.experiment_id, run_name=name, tags=values)
        self._writer.new_runs.add(run.info.run_id)
        return run

    def _begin(self, run: "Run", params: Mapping[str, Any]) -> None:
        """Parameters of a new run; a run that was ended before goes on."""
        run_id = run.info.run_id
        if run.info.status != "RUNNING":
            self.client.update_run(run_id, status="RUNNING")
            self.client.set_tag(run_id, STATE_TAG, "RUNNING")
        missing = {key: value for key, value in params.items() if key not in run.data.params}
        if missing:
            self._outbox.task(run_id, "parameters", lambda: self._writer.params(run_id, missing))


def trial_name(trial_id: str, config: Config) -> str:
    """What tells a trial from its neighbours in the list of runs."""
    expert = config.expert
    return f"{trial_id}: {expert.count} experts, l{config.router.l_max}, code {expert.latent_size}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return str(os.getuid())
