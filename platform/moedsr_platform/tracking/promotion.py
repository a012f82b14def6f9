"""Which registered version users get: an alias moves to a version that is no worse than the one that holds it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from moedsr.errors import InputError
from moedsr_platform.tracking.client import connect
from moedsr_platform.tracking.evaluation_record import EvaluationRecord
from moedsr_platform.tracking.model_reference import find_version
from moedsr_platform.tracking.registry import CANDIDATE, EVALUATION_TAG, METRIC_TAG
from moedsr_platform.tracking.run_names import MODE_TAG, OBJECTIVE_TAG, STORE_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

SPLIT = "val"
"""Models are chosen on this split; the test split is for telling how good the chosen one is."""


@dataclass(frozen=True)
class Promotion:
    """What a promotion did: ``previous`` held the alias before, None when nothing did.

    ``comparison`` says in words how the two compare, None when there was nothing to compare with.
    """

    model: str
    version: str
    alias: str
    previous: str | None
    metrics: Mapping[str, str]
    comparison: str | None = None


def promote(reference: str, alias: str, uri: str | None = None, *, force: bool = False) -> Promotion:
    """Give a version an alias.

    Args:
        reference: a model's name (its candidate), ``name@alias``, ``name/version``, a ``models:/`` URI or a
            run id.
        alias: the alias to set, such as champion.
        uri: tracking store; default: the one in use.
        force: set it also where the version is worse than the one that holds the alias, or cannot be compared.

    Raises:
        InputError: no such model, alias, version or registered run, the message names what exists; or the version
            is worse than the one that holds the alias, or nobody can tell.
    """
    client = connect(uri, create=False)
    version = find_version(client, reference, default_alias=CANDIDATE)
    holder = client.get_registered_model(version.name).aliases.get(alias)
    previous = str(holder) if holder else None
    comparison = None
    if previous and previous != str(version.version):
        try:
            comparison = compare(client, version, client.get_model_version(version.name, previous))
        except InputError as error:
            if not force:
                again = f"moedsr promote {version.name}/{version.version} --alias {alias} --force"
                raise InputError(f"{error}; `{again}` sets it all the same") from None
            comparison = f"forced, although {error}"
    client.set_registered_model_alias(version.name, alias, version.version)
    metrics = {key.removeprefix(METRIC_TAG): value for key, value in version.tags.items() if key.startswith(METRIC_TAG)}
    return Promotion(version.name, str(version.version), alias, previous, metrics, comparison)


def compare(client: "MlflowClient", version: "ModelVersion", holder: "ModelVersion") -> str:
    """How a version compares with the one that holds the alias, in words.

    Kept evaluations of both on the validation split of one store count first, then the scores that they were
    registered with, where those mean the same.

    Raises:
        InputError: it is worse, or nobody can tell.
    """
    scores = _evaluated(client, version, holder) or _registered(version, holder)
    if not (scores.new >= scores.old if scores.mode == "max" else scores.new <= scores.old):  # NaN is never better
        raise InputError(f"{_name(version)} is worse than {_name(holder)}: {scores}")
    return str(scores)


@dataclass(frozen=True)
class _Scores:
    metric: str
    mode: str
    new: float
    old: float

    def __str__(self) -> str:
        return f"{self.metric} {self.new:.4f} against {self.old:.4f} on the same store"


def _evaluated(client: "MlflowClient", version: "ModelVersion", holder: "ModelVersion") -> _Scores | None:
    """From what `moedsr evaluate` kept; None where either was not evaluated, or not on the same."""
    try:
        new, old = (EvaluationRecord.load(client, client.get_run(str(one.run_id)), SPLIT) for one in (version, holder))
    except InputError:
        return None
    if (new.store_fingerprint, new.grid_stride) != (old.store_fingerprint, old.grid_stride):
        return None
    iou = [record.evaluation.mean("model", "iou") for record in (new, old)]
    return _Scores(f"evaluated {SPLIT}/iou", "max", *iou)


def _registered(version: "ModelVersion", holder: "ModelVersion") -> _Scores:
    """From the tags of the versions.

    Raises:
        InputError: other store, other objective, other way of scoring, or no score.
    """
    for tag, what in (
        (STORE_TAG, "on the store"),
        (EVALUATION_TAG, "with the evaluation"),
        (OBJECTIVE_TAG, "by"),
        (MODE_TAG, "to the"),
    ):
        new, old = version.tags.get(tag), holder.tags.get(tag)
        if new is None or new != old:
            raise InputError(
                f"{_name(version)} was scored {what} {new or 'unknown'}, {_name(holder)} {what} {old or 'unknown'}: "
                f"their scores do not compare; score both on one store with `moedsr evaluate "
                f"models:/{version.name}/{version.version} --split {SPLIT} --store STORE` and the same for the other"
            )
    metric, mode = version.tags[OBJECTIVE_TAG], version.tags[MODE_TAG]
    new, old = (one.tags.get(f"{METRIC_TAG}{metric}") for one in (version, holder))
    if new is None or old is None:
        raise InputError(
            f"{_name(version if new is None else holder)} has no {metric}: nobody can tell which is better"
        )
    return _Scores(metric, mode, float(new), float(old))


def _name(version: "ModelVersion") -> str:
    return f"version {version.version}"
