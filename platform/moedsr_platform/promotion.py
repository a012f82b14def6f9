"""Which registered version users get: an alias moves to a version that is no worse than the one that holds it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from moedsr.errors import InputError
from moedsr_platform.model_reference import find_version
from moedsr_platform.registry import CANDIDATE, METRIC_TAG, MODE_TAG, OBJECTIVE_TAG, STORE_TAG
from moedsr_platform.tracking import connect

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

OBJECTIVE, MODE = "val/iou", "max"
"""What versions are compared by that do not say by what they were chosen."""


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
            is worse than the one that holds the alias, or was scored on another surface store.
    """
    client = connect(uri, create=False)
    version = find_version(client, reference, default_alias=CANDIDATE)
    holder = client.get_registered_model(version.name).aliases.get(alias)
    previous = str(holder) if holder else None
    comparison = None
    if previous and previous != str(version.version):
        try:
            comparison = compare(version, client.get_model_version(version.name, previous))
        except InputError as error:
            if not force:
                again = f"`moedsr promote {version.name}/{version.version} --alias {alias} --force` sets it all the same"
                raise InputError(f"{error}; {again}") from None
            comparison = f"forced: {error}"
    client.set_registered_model_alias(version.name, alias, version.version)
    metrics = {key.removeprefix(METRIC_TAG): value for key, value in version.tags.items() if key.startswith(METRIC_TAG)}
    return Promotion(version.name, str(version.version), alias, previous, metrics, comparison)


def compare(version: "ModelVersion", holder: "ModelVersion") -> str:
    """How a version compares with the one that holds the alias, in words.

    Raises:
        InputError: it is worse, or nobody can tell: other surface store, other objective, or no score.
    """
    ours, theirs = f"version {version.version}", f"version {holder.version}, which holds the alias,"
    stores = [one.tags.get(STORE_TAG) for one in (version, holder)]
    if stores[0] != stores[1]:
        raise InputError(
            f"{ours} was scored on store {_shown(stores[0])}, {theirs} on store {_shown(stores[1])}: their scores do "
            f"not compare; evaluate both on one store (`moedsr evaluate models:/{version.name}/{version.version} "
            "--store STORE`, and the same for the other)"
        )
    metric, mode = (
        [one.tags.get(tag, default) for one in (version, holder)]
        for tag, default in ((OBJECTIVE_TAG, OBJECTIVE), (MODE_TAG, MODE))
    )
    if metric[0] != metric[1] or mode[0] != mode[1]:
        raise InputError(f"{ours} was chosen by {metric[0]} ({mode[0]}), {theirs} by {metric[1]} ({mode[1]})")
    scores = [one.tags.get(f"{METRIC_TAG}{metric[0]}") for one in (version, holder)]
    if scores[0] is None or scores[1] is None:
        without = ours if scores[0] is None else theirs
        raise InputError(f"{without} has no {metric[0]}: nobody can tell which is better")
    new, old = float(scores[0]), float(scores[1])
    words = f"{metric[0]} {new:.4f} after {old:.4f}, on the same store"
    if not (new >= old if mode[0] == "max" else new <= old):  # so written, NaN is worse than anything
        raise InputError(f"{ours} is worse than {theirs}: {words}".replace(",:", ":"))
    return words


def _shown(fingerprint: str | None) -> str:
    return fingerprint[:12] if fingerprint else "unknown"
