"""Where runs are stored: one SQLite file with the artifacts beside it, unless MLFLOW_TRACKING_URI names a
server.

Nothing here imports MLflow, so that a wrong address is answered at once.
"""

import contextlib
import fcntl
import os
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from moedsr.errors import InputError

ANSWER_SECONDS = 5.0
"""How long a server may take to answer before it counts as unreachable."""

DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
SQLITE = "sqlite:///"


class StoreAwayError(InputError):
    """No server answers at the address; it may come back."""


def results_folder() -> Path:
    """``$MOEDSR_HOME``, or ``results`` in the current folder.

    A Ray job runs in an unpacked upload that Ray deletes when it likes: there, ``moedsr-results`` in the home folder.
    """
    given = os.environ.get("MOEDSR_HOME")
    if given:
        return Path(given).absolute()
    return Path.home() / "moedsr-results" if in_uploaded_folder() else Path("results").absolute()


def in_uploaded_folder() -> bool:
    """Whether the current folder is the working directory that came with a Ray job."""
    parts = Path.cwd().parts
    return "runtime_resources" in parts and any(part.startswith("_ray_pkg_") for part in parts)


def cache_folder() -> Path:
    """``$MOEDSR_CACHE``, or ``~/.cache/moedsr``."""
    return Path(os.environ.get("MOEDSR_CACHE") or Path.home() / ".cache" / "moedsr").absolute()


def store_uri(uri: str | None = None) -> str:
    """The given address, else ``$MLFLOW_TRACKING_URI``, else the SQLite file of the results folder."""
    return uri or os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}{results_folder() / 'mlflow.db'}"


def without_password(uri: str) -> str:
    """The address without user name and password, to be shown and kept."""
    parts = urlsplit(uri)
    return uri if "@" not in parts.netloc else uri.replace(parts.netloc, parts.netloc.rsplit("@", 1)[1], 1)


def sqlite_path(uri: str) -> Path | None:
    """The file behind a SQLite address; None for any other address."""
    return Path(uri.removeprefix(SQLITE)).absolute() if uri.startswith(SQLITE) else None


def local_path(location: str) -> Path | None:
    """The path behind an artifact's address; None where a server keeps it."""
    parts = urlsplit(location)
    return Path(unquote(parts.path)) if parts.scheme in ("", "file") else None


def where_it_is_now(path: Path, uri: str) -> Path:
    """The place of a local artifact after the results were moved: beside the database, where that is now."""
    folder = artifact_folder(uri)
    if folder is None or path.exists():
        return path
    places = [place for place, part in enumerate(path.parts) if part == folder.name]
    found = (folder.joinpath(*path.parts[place + 1 :]) for place in places)
    return next((place for place in found if place.exists()), path)


def artifact_folder(uri: str) -> Path | None:
    """The folder beside the SQLite file that holds the artifacts; None where a server decides."""
    path = sqlite_path(uri)
    return path.with_name("artifacts") if path else None


def check_store(uri: str, *, create: bool = True) -> None:
    """Refuse an address that cannot work, within seconds.

    Args:
        uri: as ``store_uri`` returns it.
        create: whether a missing SQLite file is fine because the caller makes it.

    Raises:
        InputError: no server answers, no such store, not writable, or not an address that MLflow can keep
            runs and registered models behind.
    """
    path = sqlite_path(uri)
    scheme = urlsplit(uri).scheme.split("+")[0]
    if path:
        _check_sqlite(path, create=create)
    elif scheme in ("http", "https"):
        _check_server(uri)
    elif scheme in DATABASE_PORTS:
        _check_port(uri, DATABASE_PORTS[scheme])
    else:
        raise InputError(
            f"tracking address {without_password(uri)!r} is not sqlite:///FILE, http(s)://SERVER or "
            f"postgresql://DATABASE; unset MLFLOW_TRACKING_URI to use {SQLITE}{results_folder() / 'mlflow.db'}"
        )


@contextlib.contextmanager
def migration_lock(uri: str) -> Iterator[None]:
    """Held while a SQLite store is made or migrated: processes that meet an empty file corrupt it."""
    path = sqlite_path(uri)
    if path is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _check_sqlite(path: Path, *, create: bool) -> None:
    if not path.exists():
        if not create:
            raise InputError(
                f"no tracking store at {path}: run a sweep first, or set MOEDSR_HOME or MLFLOW_TRACKING_URI"
            )
    elif path.is_dir():
        raise InputError(f"tracking store {path} is a folder, but must be a SQLite file")
    else:
        with path.open("rb") as file:
            header = file.read(16)
        if header and header != b"SQLite format 3\0":
            raise InputError(f"tracking store {path} is not a SQLite file: move it away, or name another store")
    existing = next(place for place in (path, *path.parents) if place.exists())
    if not os.access(existing, os.W_OK) or (existing != path and not existing.is_dir()):
        raise InputError(f"tracking store {path} cannot be written: {existing} is not a writable folder")


def _check_server(uri: str) -> None:
    try:
        with urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=ANSWER_SECONDS):
            pass
    except urllib.error.HTTPError:
        pass  # it answers; what it thinks of us is told by the first real request
    except (OSError, ValueError) as error:
        raise _unreachable(uri, getattr(error, "reason", error)) from error


def _check_port(uri: str, default_port: int) -> None:
    parts = urlsplit(uri)
    if not answers(parts.hostname or "localhost", parts.port or default_port):
        raise _unreachable(f"{parts.scheme}://{parts.hostname}", "no connection")


def answers(host: str, port: int) -> bool:
    """Whether something listens there, within ``ANSWER_SECONDS``."""
    try:
        with socket.create_connection((host, port), ANSWER_SECONDS):
            return True
    except OSError:
        return False


def _unreachable(uri: str, reason: object) -> StoreAwayError:
    text = getattr(reason, "strerror", None) or str(reason)
    return StoreAwayError(
        f"tracking server {without_password(uri)} does not answer ({text}): start it, correct MLFLOW_TRACKING_URI, "
        "or unset it to use the embedded store"
    )
