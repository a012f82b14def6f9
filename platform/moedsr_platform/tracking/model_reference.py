"""What a user may call a model (registry URI, run, directory), and the checkpoint directory behind it."""

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from moedsr.config_file import did_you_mean
from moedsr.errors import InputError
from moedsr_platform.tracking.client import connect
from moedsr_platform.tracking.run_names import BEST_TAG
from moedsr_platform.tracking.store import cache_folder, local_path, where_it_is_now

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

CHECKPOINT = "checkpoint"
NEEDED = ("config.json", "model.safetensors", "meta.json")
_RUN_ID = re.compile(r"[0-9a-f]{32}")
_FORMS = "models:/NAME@ALIAS, models:/NAME/VERSION, runs:/ID, a run id, or a checkpoint directory"


def resolve(reference: str, uri: str | None = None) -> Path:
    """The checkpoint directory of a model, downloaded into the user's cache where it is not on this machine.

    Args:
        reference: ``models:/name@alias``, ``models:/name/3``, ``runs:/id``, a run id, or a directory.
        uri: tracking store; default: the one in use. Not asked for a directory.

    Raises:
        InputError: nothing of that name; the message says what there is.
    """
    if reference.startswith("models:"):
        client = connect(uri, create=False)
        return _of_version(client, find_version(client, reference))
    run_id = _run_id(reference)
    if run_id:
        return _of_run(connect(uri, create=False), run_id)
    folder = Path(reference)
    if not folder.is_dir():
        raise InputError(f"no model {reference!r}{_suggestion(reference)}: MODEL is {_FORMS}")
    check_checkpoint(folder)
    return folder


def run_behind(client: "MlflowClient", reference: str) -> "Run | None":
    """The run that made a model that ``resolve`` knows; None for a directory. A sweep stands for its best trial."""
    registered = reference.startswith("models:")
    run_id = find_version(client, reference).run_id if registered else _run_id(reference)
    return _trial(client, run_id) if run_id else None


def check_checkpoint(folder: Path) -> None:
    """Refuse a folder that is not a complete checkpoint.

    Raises:
        InputError: says which file is missing.
    """
    missing = [name for name in NEEDED if not (folder / name).is_file()]
    if missing:
        raise InputError(f"{folder} is not a checkpoint directory: {', '.join(missing)} missing")


def find_version(client: "MlflowClient", reference: str, default_alias: str | None = None) -> "ModelVersion":
    """The registered version behind a reference.

    Args:
        client: of the store to ask.
        reference: ``[models:/]name``, ``name@alias``, ``name/version``, ``runs:/id`` or a run id.
        default_alias: what a bare name means; None refuses it.

    Raises:
        InputError: no such model, alias, version or registered run; names what exists.
    """
    run_id = _run_id(reference)
    if run_id:
        found = client.search_model_versions(f"run_id = '{run_id}'")
        if not found:
            raise InputError(f"run {run_id} has no registered model; {_what_exists(client)}")
        return max(found, key=lambda version: int(version.version))
    name, mark, which = _parts(reference)
    known = [model.name for model in client.search_registered_models()]
    if name not in known:
        raise InputError(f"no registered model {name!r}{did_you_mean(name, known)}; {_what_exists(client)}")
    if not mark and default_alias is None:
        raise InputError(f"{reference!r} names no version: {_what_exists(client, name)}")
    if mark == "/":
        matching = [one for one in client.search_model_versions(f"name = '{name}'") if str(one.version) == which]
        if not matching:
            raise InputError(f"{name} has no version {which!r}; {_what_exists(client, name)}")
        return matching[0]
    alias = which or default_alias or ""
    if alias not in client.get_registered_model(name).aliases:
        raise InputError(f"{name} has no alias {alias!r}; {_what_exists(client, name)}{_how_to_promote(name, alias)}")
    return client.get_model_version_by_alias(name, alias)


def _parts(reference: str) -> tuple[str, str, str]:
    name = reference.removeprefix("models:").lstrip("/")
    mark = "@" if "@" in name else "/" if "/" in name else ""
    head, _, tail = name.partition(mark) if mark else (name, "", "")
    return head, mark, tail


def _run_id(reference: str) -> str | None:
    if reference.startswith("runs:"):
        return reference.removeprefix("runs:").lstrip("/").split("/")[0]
    return reference if _RUN_ID.fullmatch(reference) else None


def _of_version(client: "MlflowClient", version: "ModelVersion") -> Path:
    location = client.get_model_version_download_uri(version.name, str(version.version))
    key = f"models/{version.name}-{version.version}-{version.creation_timestamp}"  # unlike any other store's
    folder = _local(client, location) or _download(client, location, key)
    checkpoint = folder / "artifacts" / CHECKPOINT
    check_checkpoint(checkpoint)
    return checkpoint


def _trial(client: "MlflowClient", run_id: str) -> "Run":
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        raise InputError(f"no run {run_id!r} in the tracking store: {error.message}") from error
    best = run.data.tags.get(BEST_TAG)
    return client.get_run(best) if best else run


def _of_run(client: "MlflowClient", run_id: str) -> Path:
    run = _trial(client, run_id)
    location = f"{run.info.artifact_uri}/{CHECKPOINT}"
    local = _local(client, location)
    if not (local.is_dir() if local else client.list_artifacts(run.info.run_id, CHECKPOINT)):
        name, state = run.info.run_name, run.info.status
        raise InputError(f"run {run.info.run_id} ({name}, {state}) has no checkpoint: it ended before its first one")
    folder = local or _download(client, location, f"runs/{run.info.run_id}")
    check_checkpoint(folder)
    return folder


def _local(client: "MlflowClient", location: str) -> Path | None:
    path = local_path(location)
    return path and where_it_is_now(path, client.tracking_uri)


def _download(client: "MlflowClient", location: str, key: str) -> Path:
    """Downloaded next to its place in the cache and renamed, so that half a model is never found there."""
    from mlflow.artifacts import download_artifacts

    target = cache_folder() / key
    if key.startswith("models/") and target.is_dir():  # a registered model never changes
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".download-") as scratch:
        got = Path(download_artifacts(artifact_uri=location, dst_path=scratch, tracking_uri=client.tracking_uri))
        if target.is_dir():
            target.replace(Path(scratch) / "replaced")
        got.replace(target)
    return target


def _suggestion(reference: str) -> str:
    named = re.fullmatch(r"[\w.-]+(@[\w.-]+|/\d+)", reference)
    return f" (did you mean `models:/{reference}`?)" if named else ""


def _what_exists(client: "MlflowClient", name: str | None = None) -> str:
    """The registered models, or one model's versions and aliases, in a few words."""
    if name is None:
        known = [model.name for model in client.search_registered_models()]
        return f"registered: {', '.join(known)}" if known else "nothing is registered yet: run a sweep first"
    versions = sorted(int(one.version) for one in client.search_model_versions(f"name = '{name}'"))
    aliases = client.get_registered_model(name).aliases
    of_alias = ", ".join(f"{alias} = version {version}" for alias, version in sorted(aliases.items()))
    shown = ", ".join(str(version) for version in versions[-10:])
    return f"versions: {shown or 'none'}; aliases: {of_alias or 'none'}"


def _how_to_promote(name: str, alias: str) -> str:
    return f"; `moedsr promote {name} --alias {alias}` sets it" if alias != "candidate" else ""
