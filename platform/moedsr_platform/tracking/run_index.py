"""Which of the store's runs is behind a key.

The journal can hold keys before a server has given a run its id; the tag ``moedsr.run_key`` finds the run again.
"""

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from moedsr.errors import InputError
from moedsr_platform.tracking.run_names import KEY_TAG
from moedsr_platform.tracking.store import local_path

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run


class RunIndex:
    """The runs of one experiment.

    Args:
        client: of the store.
        experiment: name; made where it is missing.
        artifacts: where a new experiment's files lie; None lets the server decide.
    """

    def __init__(self, client: "MlflowClient", experiment: str, artifacts: str | None) -> None:
        self.client = client
        self.experiment = experiment
        self._artifacts = artifacts
        self._experiment_id: str | None = None
        self._run_ids: dict[str, str] = {}

    def experiment_id(self) -> str:
        """The experiment, made where it is missing.

        Raises:
            InputError: it was deleted, or its folder was moved.
        """
        if self._experiment_id is None:
            found = self.client.get_experiment_by_name(self.experiment) or self._new_experiment()
            if found.lifecycle_stage != "active":
                raise InputError(
                    f"experiment {self.experiment!r} is deleted in {self.client.tracking_uri}: restore it with "
                    f"`mlflow experiments restore -x {found.experiment_id}`, or name another by MLFLOW_EXPERIMENT_NAME"
                )
            self._check_place(found)
            self._experiment_id = found.experiment_id
        return self._experiment_id

    def _check_place(self, experiment: "Experiment") -> None:
        """MLflow keeps whole paths: after a move it would make the old folder again and write there."""
        if self._artifacts is None:
            return
        then, now = local_path(experiment.artifact_location), local_path(self._artifacts)
        if then is None or now is None or then.name != now.name:  # made by another program, with a place of its own
            return
        if then.resolve() != now.resolve() and not then.exists():
            command = shlex.join(["ln", "-s", str(now.parent), str(then.parent)])
            raise InputError(
                f"the results were moved from {then.parent} to {now.parent}, but their runs would be written to the "
                f"former: move them back, or lead the old name to the new one: {command}"
            )

    def _new_experiment(self) -> "Experiment":
        try:
            self.client.create_experiment(self.experiment, artifact_location=self._artifacts)
        except Exception:  # each kind of store has its own for one that another sweep made in this moment
            if (found := self.client.get_experiment_by_name(self.experiment)) is None:
                raise
            return found
        return self.client.get_experiment_by_name(self.experiment)

    def run_id(self, run: str) -> str:
        """The id that the store gave a run.

        Raises:
            InputError: there is no such run.
        """
        if run not in self._run_ids and self.find(run) is None:
            raise InputError(f"no run with the tag {KEY_TAG} = {run}: was it deleted?")
        return self._run_ids[run]

    def create(self, run: str, name: str, tags: Mapping[str, str]) -> "Run":
        """A new run of this key."""
        made = self.client.create_run(self.experiment_id(), run_name=name, tags={**tags, KEY_TAG: run})
        self._run_ids[run] = made.info.run_id
        return made

    def find(self, run: str) -> "Run | None":
        """The run of a key; of several the one that was written to: the others' ids were never known."""
        found = self.client.search_runs(
            [self.experiment_id()], f"tags.`{KEY_TAG}` = '{run}'", order_by=["start_time ASC"]
        )
        chosen = min(found, key=lambda one: not (one.data.params or one.data.metrics), default=None)
        if chosen is not None:
            self._run_ids[run] = chosen.info.run_id
        return chosen

    def drop_spare(self, run: str) -> None:
        """Deletes what a slow server made of requests that were given up: for this run, or for a sweep's trials.

        Such a run may come to be after it was looked for, and made again.
        """
        from mlflow.exceptions import MlflowException

        for found in self.running(run):
            run_id = found.info.run_id
            if run_id == self.run_id(found.data.tags[KEY_TAG]):
                continue
            try:
                self.client.delete_run(run_id)
            except MlflowException as error:
                if error.error_code != "PERMISSION_DENIED":  # who may write may not always delete
                    raise
                self.client.set_terminated(run_id, "KILLED")

    def running(self, run: str) -> "Sequence[Run]":
        """Runs of this key, and of a sweep's trials, that are shown as running."""
        shown = f"attributes.status = 'RUNNING' AND tags.`{KEY_TAG}` LIKE '{run}%'"
        return self.client.search_runs([self.experiment_id()], shown)
