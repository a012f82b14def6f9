"""MLflow's client of the store in use; a store that is not there yet is made, whole or not at all."""

import logging
import os
from typing import TYPE_CHECKING

from moedsr.errors import InputError
from moedsr_platform.tracking.store import (
    SQLITE,
    check_store,
    migration_lock,
    sqlite_path,
    store_uri,
    without_password,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient


def connect(uri: str | None = None, *, create: bool = True) -> "MlflowClient":
    """A client of the store in use, migrated, or an error within seconds.

    Raises:
        InputError: see ``check_store``; or the store refuses the first request.
    """
    address = store_uri(uri)
    check_store(address, create=create)
    try:
        with migration_lock(address):
            _make(address)
            client = new_client(address)
            client.search_experiments(max_results=1)
    except Exception as error:
        check_store(address, create=create)  # a server that has gone since is said to be away
        where = without_password(address)
        if getattr(error, "error_code", None) == "UNAUTHENTICATED":
            raise InputError(
                f"tracking server {where} asks who you are: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
            ) from error
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(f"tracking store {where} refuses to work: {first[:200]}") from error
    return client


def _make(address: str) -> None:
    """A SQLite store appears complete: in one whose making was killed, MLflow trips over its own tables for ever."""
    path = sqlite_path(address)
    if path is None or (path.exists() and path.stat().st_size):
        return
    aside = path.with_name(f".{path.name}.new")
    for left in path.parent.glob(f"{aside.name}*"):
        left.unlink()
    new_client(f"{SQLITE}{aside}")
    aside.replace(path)


def new_client(address: str) -> "MlflowClient":
    """A client that has asked nothing yet; of a SQLite store, which is made by then."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow  # a second long, and it reads the environment

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return mlflow.MlflowClient(tracking_uri=address, registry_uri=address)
