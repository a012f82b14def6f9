"""The requests that change runs, one method each; the outbox calls them in the background and repeats what failed.

Each may be given again after it was carried out, by this process or by one that found it in the journal: a run is
looked for before it is made, a step is stored once, a file or tag is overwritten with the same.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from moedsr.errors import InputError
from moedsr_platform.tracking.journal import Request
from moedsr_platform.tracking.outbox import Point
from moedsr_platform.tracking.routing_report import RoutingHistory
from moedsr_platform.tracking.run_artifacts import add_routing, take_staged
from moedsr_platform.tracking.run_index import RunIndex
from moedsr_platform.tracking.run_names import KEY_TAG, PARENT_TAG, STATE_TAG
from moedsr_platform.tracking.sweep_page import MODE, PICTURES, VIEW_TAG, view_address

LONGEST_VALUE = 6000  # characters of a parameter
LONGEST_TAG = 8000
BATCH_PARAMS = 100
LOAD_METRIC, ENTROPY_METRIC = "routing/load_", "routing/entropy"


class RunWriter:
    """Carries requests out.

    Args:
        runs: of the experiment, by the keys that requests name them by.
        files: folder of the files that wait to be uploaded.
    """

    def __init__(self, runs: RunIndex, files: Path) -> None:
        self.client = runs.client
        self.versions: dict[str, str | Exception] = {}  # run -> its registered version, or why there is none
        self.abandoned = 0
        self._runs = runs
        self._files = files
        self._last_steps: dict[str, dict[str, int]] = {}  # run -> metric -> last step in the store

    def send(self, request: Request) -> None:
        """Carry one request out: the method of its kind gets the rest of it."""
        arguments = {name: value for name, value in request.items() if name not in ("kind", "run")}
        getattr(self, f"do_{request['kind']}")(request["run"], **arguments)

    # runs

    def do_begin(
        self,
        run: str,
        name: str,
        parent: str | None,
        tags: Mapping[str, str],
        params: Mapping[str, str],
        reopen: bool,
    ) -> None:
        """A run begins, or goes on after it had ended; ``reopen`` False leaves one that has ended as it is."""
        found = self._runs.find(run)
        if found is None:
            own = {STATE_TAG: "RUNNING", **({PARENT_TAG: self._runs.run_id(parent)} if parent else {})}
            found = self._runs.create(run, name, _short({**tags, **own}))
            self._last_steps[run] = {}
        run_id = found.info.run_id
        if found.info.status != "RUNNING":
            if not reopen:
                return
            self.client.update_run(run_id, status="RUNNING")
            self.do_tags(run, {STATE_TAG: "RUNNING"})
        self._params(run_id, {key: value for key, value in params.items() if key not in found.data.params})

    def do_end(self, run: str, status: str, tags: Mapping[str, str]) -> None:
        """Tags, then the status that ends the run."""
        self.do_tags(run, tags)
        self.client.set_terminated(self._runs.run_id(run), status)
        self._runs.drop_spare(run)

    def do_abandon(self, run: str) -> None:
        """Ends a sweep's run and those of its trials where they are shown as running."""
        for found in self._runs.running(run):
            self.do_end(found.data.tags[KEY_TAG], "KILLED", {STATE_TAG: "WAITING"})
            self.abandoned += 1

    def do_tags(self, run: str, tags: Mapping[str, str]) -> None:
        """Sets tags."""
        from mlflow.entities import RunTag

        self.client.log_batch(self._runs.run_id(run), tags=[RunTag(key, value) for key, value in _short(tags).items()])

    def do_view(self, run: str, state: str) -> None:
        """The view of MLflow's UI that compares the trials of a sweep, under the key of its run."""
        self.client.set_experiment_tag(self._runs.experiment_id(), f"{VIEW_TAG}{run}", state)

    def do_note(
        self, run: str, text: str, links: Mapping[str, str], best: str | None, compared: str | None = None
    ) -> None:
        """What stands on a run's page: links, how it did, pictures of ``best``.

        ``compared``: the run whose trials a view compares.
        """
        shown = {"compare the trials": f"#{view_address(self._runs.experiment_id(), compared)}"} if compared else {}
        pictures = []
        if best is not None:
            best_id = self._runs.run_id(best)
            if best != run:
                shown["the best trial"] = f"#/experiments/{self._runs.experiment_id()}/runs/{best_id}?{MODE}"
            there = {file.path for path in PICTURES for file in self.client.list_artifacts(best_id, path.split("/")[0])}
            address = f"get-artifact?run_uuid={best_id}&path="
            pictures = [f"![{path}]({address}{quote(path, safe='')})" for path in PICTURES if path in there]
        head = " · ".join(f"[{name}]({address})" for name, address in {**shown, **links}.items())
        self.do_tags(run, {"mlflow.note.content": "\n\n".join(part for part in (head, text, *pictures) if part)})

    def do_best(self, run: str, tag: str, best: str) -> None:
        """Notes the id of a sweep's best run as its tag."""
        self.do_tags(run, {tag: self._runs.run_id(best)})

    def _params(self, run_id: str, params: Mapping[str, str]) -> None:
        from mlflow.entities import Param

        items = [Param(key, value[:LONGEST_VALUE]) for key, value in params.items()]
        for start in range(0, len(items), BATCH_PARAMS):
            self.client.log_batch(run_id, params=items[start : start + BATCH_PARAMS])

    # metrics

    def do_points(self, run: str, points: Sequence[Point]) -> None:
        """Metrics; steps that the store has already, from before a resume or a lost answer, are skipped."""
        ahead = dict(self._steps_in_store(run))
        new = []
        for point in points:
            name, _, step, _ = point
            if step > ahead.get(name, -1):
                ahead[name] = step
                new.append(point)
        if new:
            self._last_steps.pop(run)  # what the store has is not known until it answers
            self._add(self._runs.run_id(run), new)
            self._last_steps[run] = ahead

    def _add(self, run_id: str, points: Sequence[Point]) -> None:
        from mlflow.entities import Metric

        metrics = [Metric(name, value, stamp, step) for name, value, step, stamp in points]
        self.client.log_batch(run_id, metrics=metrics)

    def _steps_in_store(self, run: str) -> dict[str, int]:
        if run not in self._last_steps:
            latest = self.client.get_run(self._runs.run_id(run)).to_proto().data.metrics
            self._last_steps[run] = {metric.key: metric.step for metric in latest}
        return self._last_steps[run]

    # files

    def do_text(self, run: str, file: str, text: str) -> None:
        """A small text file."""
        self.client.log_text(self._runs.run_id(run), text, file)

    def do_upload(self, run: str, folder: str) -> None:
        """A staged checkpoint with its routing tables and pictures; the staged copy is removed."""
        staged = take_staged(self._files / folder)
        if staged is None:
            return  # it was sent before, or a later checkpoint has taken its place
        add_routing(staged, self._routing_history(run))
        self.client.log_artifacts(self._runs.run_id(run), str(staged))
        shutil.rmtree(staged, ignore_errors=True)

    def _routing_history(self, run: str) -> RoutingHistory:
        def points(name: str) -> list[tuple[int, float]]:
            return sorted(
                (metric.step, metric.value) for metric in self.client.get_metric_history(self._runs.run_id(run), name)
            )

        names = self._steps_in_store(run)
        loads = [name for name in names if name.startswith(LOAD_METRIC)]
        return RoutingHistory(
            loads={int(name.removeprefix(LOAD_METRIC)): points(name) for name in loads},
            entropy=points(ENTROPY_METRIC) if ENTROPY_METRIC in names else [],
        )

    # registry

    def do_register(
        self, run: str, checkpoint: str, model: str, alias: str | None, metrics: Mapping[str, float]
    ) -> None:
        """A checkpoint becomes a version of a registered model."""
        from moedsr_platform.tracking.registry import register

        try:
            self.versions[run] = register(
                Path(checkpoint), self._runs.run_id(run), model=model, alias=alias, metrics=metrics, client=self.client
            )
        except Exception as error:
            if is_permanent(error):
                self.versions[run] = error
            raise


def is_permanent(error: Exception) -> bool:
    """Errors of the request itself come back however often it is sent; the rest is a store that is away.

    A store that refuses who asks counts as away: its password is set right and the request sent again.
    """
    from mlflow.exceptions import MlflowException

    if isinstance(error, MlflowException):
        return error.error_code in {
            "INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "BAD_REQUEST", "ENDPOINT_NOT_FOUND"
        }  # fmt: skip
    return isinstance(error, InputError | ValueError | TypeError | KeyError | FileNotFoundError)


def readable(value: Any) -> str:
    """A parameter as text."""
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _short(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: str(value)[:LONGEST_TAG] for key, value in tags.items()}
