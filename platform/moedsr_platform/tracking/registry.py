"""MLflow's model registry: a checkpoint of a run becomes one version, however often that is asked."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from moedsr.errors import InputError
from moedsr_platform.display.verdict import verdict
from moedsr_platform.tracking.client import connect
from moedsr_platform.tracking.model_package import model_folder
from moedsr_platform.tracking.model_reference import check_checkpoint
from moedsr_platform.tracking.run_names import COMMIT_TAG, MODE_TAG, OBJECTIVE_TAG, STORE_TAG, SWEEP_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run

MODEL = "moe-dsr"
CANDIDATE = "candidate"
METRIC_TAG = "metric."
STEP_TAG = "moedsr.step"
EVALUATION_TAG = "moedsr.evaluation.evaluation"


def register(
    checkpoint: Path,
    run_id: str,
    *,
    model: str = MODEL,
    alias: str | None = CANDIDATE,
    metrics: Mapping[str, float],
    uri: str | None = None,
    client: "MlflowClient | None" = None,
) -> str:
    """A new version of the registered model from a checkpoint; the same run and step again is the same
    version.

    Args:
        checkpoint: complete checkpoint directory.
        run_id: the run that made it.
        model: name in the registry.
        alias: moved to the version; None leaves the aliases alone.
        metrics: the numbers by which it was chosen.
        uri: tracking store; default: the one in use.
        client: of that store, where there is one already.

    Returns:
        The version.

    Raises:
        InputError: not a complete checkpoint, or the store is not reachable.
    """
    check_checkpoint(checkpoint)
    client = client or connect(uri)
    tags = _tags(checkpoint, client.get_run(run_id), metrics)
    _ensure_model(client, model)
    version = _same_version(client, model, run_id, tags[STEP_TAG])
    if version is None:
        logged = _log_model(client, checkpoint, run_id, model, tags)
        version = _same_version(client, model, run_id, tags[STEP_TAG])  # a slow server may have made it meanwhile
    if version is None:
        _create_version(client, run_id, model, logged, tags)
        version = _same_version(client, model, run_id, tags[STEP_TAG])
    assert version is not None
    if alias:
        client.set_registered_model_alias(model, alias, version)
    return version


def _ensure_model(client: "MlflowClient", model: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(
            model, description="Time-varying molecular surface of a protein from its initial structure."
        )
    except MlflowException as error:
        if error.error_code == "INVALID_PARAMETER_VALUE":
            raise InputError(f"model name {model!r} is not accepted by the registry: {error.message}") from error
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _same_version(client: "MlflowClient", model: str, run_id: str, step: str) -> str | None:
    """The version of this run and step, the first one.

    Where there are more, a slow server made them of requests that were given up: those that no alias names are deleted.
    """
    from mlflow.exceptions import MlflowException

    made = client.search_model_versions(f"name = '{model}' AND run_id = '{run_id}'")
    same = [version for version in made if version.tags.get(STEP_TAG) == step]
    # those that are found by searching do not say so themselves
    named = {str(version) for version in client.get_registered_model(model).aliases.values()}
    same.sort(key=lambda version: (str(version.version) not in named, int(version.version)))
    for spare in (version for version in same[1:] if str(version.version) not in named):
        try:
            client.delete_model_version(model, spare.version)
        except MlflowException as error:
            if error.error_code != "PERMISSION_DENIED":  # who may write may not always delete
                raise
    return str(same[0].version) if same else None


def _log_model(
    client: "MlflowClient", checkpoint: Path, run_id: str, model: str, tags: Mapping[str, str]
) -> "LoggedModel":
    """The model's files, with the run."""
    from mlflow.entities import LoggedModelOutput

    run = client.get_run(run_id)
    logged = _half_made(client, run, model, tags[STEP_TAG]) or client.create_logged_model(
        run.info.experiment_id,
        name=model,
        source_run_id=run_id,
        tags=dict(tags),
        params=dict(run.data.params),
    )
    with model_folder(checkpoint, run_id, logged.model_id) as folder:
        client.log_model_artifacts(logged.model_id, str(folder))
    client.finalize_logged_model(logged.model_id, "READY")
    # said twice, it would be an error
    if logged.model_id not in {output.model_id for output in run.outputs.model_outputs}:
        client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=int(tags[STEP_TAG]))])
    return logged


def _create_version(
    client: "MlflowClient", run_id: str, model: str, logged: "LoggedModel", tags: Mapping[str, str]
) -> None:
    behind_server = client.tracking_uri.startswith("http")
    client.create_model_version(
        model,
        # a server looks the model up itself and refuses paths; without one MLflow would ask its global store
        source=f"models:/{logged.model_id}" if behind_server else logged.artifact_location,
        run_id=run_id,
        tags=dict(tags),
        description=_description(tags),
        model_id=logged.model_id,
    )


def _half_made(client: "MlflowClient", run: "Run", model: str, step: str) -> "LoggedModel | None":
    """What a registration left that was killed, or whose answer was lost, before there was a version."""
    own = f"source_run_id = '{run.info.run_id}' AND name = '{model}' AND tags.`{STEP_TAG}` = '{step}'"
    return next(iter(client.search_logged_models([run.info.experiment_id], filter_string=own)), None)


def _tags(checkpoint: Path, run: "Run", metrics: Mapping[str, float]) -> dict[str, str]:
    """Where the version comes from, and what its scores mean: enough to repeat it, and to compare it with another."""
    meta = json.loads((checkpoint / "meta.json").read_text(encoding="utf-8"))
    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    evaluation = config.get("evaluation", {})
    inherited = {tag: run.data.tags[tag] for tag in (SWEEP_TAG, OBJECTIVE_TAG, MODE_TAG) if tag in run.data.tags}
    return {
        "moedsr.run_id": run.info.run_id,
        STEP_TAG: str(meta["step"]),
        STORE_TAG: str(meta.get("store_fingerprint")),
        COMMIT_TAG: str(meta.get("git_commit")),
        EVALUATION_TAG: ", ".join(f"{key}={value}" for key, value in sorted(evaluation.items())),
        **inherited,
        **{f"{METRIC_TAG}{name}": f"{value:.6g}" for name, value in metrics.items()},
    }


def _description(tags: Mapping[str, str]) -> str:
    """In a line: where the version comes from, and how it did; all of its scores are tags."""
    scores = {key.removeprefix(METRIC_TAG): float(value) for key, value in tags.items() if key.startswith(METRIC_TAG)}
    how = verdict(scores, tags.get(OBJECTIVE_TAG, "val/iou"), tags.get(MODE_TAG, "max"), "this model")
    return f"Step {tags[STEP_TAG]} of run {tags['moedsr.run_id']}." + (f" {how}." if how else "")
