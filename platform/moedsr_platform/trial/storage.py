"""Where trials keep their checkpoints: a folder, on this machine or shared, or an object store."""

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyarrow
from pyarrow import fs

from moedsr.errors import InputError
from moedsr.files import flush

PREFIX = "checkpoint_"
COMPLETE = ".complete"
"""Written behind all other files of a checkpoint in an object store, where nothing can be renamed."""

SCHEMES = ("s3", "gs")
ATTEMPTS = 12
"""Of one request to an object store; the pauses between them grow to 20 s, so that two minutes are outlasted."""


@dataclass(frozen=True)
class TrialStorage:
    """The checkpoints of one trial: ``<url>/<trial id>/checkpoint_<step>``.

    Attributes:
        url: of all trials of the sweep: an absolute path, or ``s3://…`` or ``gs://…``.
        trial_id: of this one.
    """

    url: str
    trial_id: str

    @property
    def filesystem(self) -> fs.FileSystem:
        """pyarrow's access to the place, patient with a server that does not answer."""
        return open_filesystem(self.url)[0]

    @property
    def path(self) -> str:
        """The trial's folder, as the file system names it."""
        return f"{open_filesystem(self.url)[1]}/{self.trial_id}"

    def checkpoint_url(self, step: int) -> str:
        """The address of a checkpoint for whoever reads it: a path, or a URL."""
        return f"{_without_query(self.url)}/{self.trial_id}/{PREFIX}{step:07d}"

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A local folder in which checkpoints are written before they are kept; what a killed process left goes."""
        if is_remote(self.url):
            with tempfile.TemporaryDirectory(prefix="moedsr-checkpoints-") as name:
                yield Path(name)
            return
        folder = Path(self.path)
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(".scratch-*"):
            shutil.rmtree(left, ignore_errors=True)
        own = folder / f".scratch-{uuid.uuid4().hex}"
        own.mkdir()
        try:
            yield own
        finally:
            shutil.rmtree(own, ignore_errors=True)

    def keep(self, folder: Path, step: int) -> str:
        """Move a complete checkpoint in from the scratch folder; returns its path on the file system.

        It is there whole or not at all, and on disk when this returns: machines lose their power too.
        """
        name = f"{PREFIX}{step:07d}"
        place = f"{self.path}/{name}"
        if is_remote(self.url):
            filesystem = self.filesystem
            fs.copy_files(str(folder), place, destination_filesystem=filesystem, use_threads=False)
            with filesystem.open_output_stream(f"{place}/{COMPLETE}") as marker:
                marker.write(b"")
            shutil.rmtree(folder)
            return place
        for path in (*folder.iterdir(), folder):
            flush(path)
        self.remove(place)
        folder.rename(place)
        flush(Path(self.path))
        return place

    def checkpoints(self) -> dict[int, str]:
        """Paths of the complete checkpoints by step, in order."""
        found: dict[int, str] = {}
        filesystem = self.filesystem
        for info in filesystem.get_file_info(fs.FileSelector(self.path, allow_not_found=True)):
            name = info.base_name
            if info.type != fs.FileType.Directory or not name.startswith(PREFIX):
                continue
            marker = f"{info.path}/{COMPLETE if is_remote(self.url) else 'meta.json'}"
            if filesystem.get_file_info(marker).type == fs.FileType.File:
                found[int(name.removeprefix(PREFIX))] = info.path
        return dict(sorted(found.items()))

    def remove(self, place: str) -> None:
        """Delete a checkpoint; half of one, left by a process that is killed here, is none to resume from."""
        if is_remote(self.url):
            filesystem = self.filesystem
            filesystem.delete_file(f"{place}/{COMPLETE}")
            filesystem.delete_dir(place)
            return
        hidden = Path(self.path) / f".scratch-{uuid.uuid4().hex}"
        try:
            Path(place).rename(hidden)
        except FileNotFoundError:
            return
        shutil.rmtree(hidden, ignore_errors=True)

    @contextmanager
    def opened(self, place: str) -> Iterator[Path]:
        """A checkpoint as a local folder: itself, or a copy that goes again."""
        if not is_remote(self.url):
            yield Path(place)
            return
        with tempfile.TemporaryDirectory(prefix="moedsr-resume-") as name:
            fs.copy_files(place, name, source_filesystem=self.filesystem)
            yield Path(name)


def is_remote(url: str) -> bool:
    """Whether an address names an object store and not a folder."""
    return "://" in url


def fetch(url: str, checkpoint: str, folder: Path) -> Path | None:
    """Copies a checkpoint of an object store into a folder; None where it is gone.

    Args:
        url: the sweep's storage, which says how the store is reached.
        checkpoint: as ``TrialStorage.checkpoint_url`` gave it.
        folder: new; appears whole.
    """
    filesystem, root = open_filesystem(url)
    place = root + checkpoint.removeprefix(_without_query(url))
    if filesystem.get_file_info(f"{place}/{COMPLETE}").type != fs.FileType.File:
        return None
    aside = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    aside.mkdir(parents=True)
    try:
        fs.copy_files(place, str(aside), source_filesystem=filesystem)
        shutil.rmtree(folder, ignore_errors=True)
        aside.rename(folder)
    except FileNotFoundError:  # its trial has a better one, and deletes this one just now
        return None
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder


def fetch_patiently(url: str, checkpoint: str, folder: Path) -> Path | None:
    """``fetch``, during which signals are handled; for the main thread."""
    with ThreadPoolExecutor(1) as one:
        found = one.submit(fetch, url, checkpoint, folder)
        while not found.done():
            wait([found], timeout=0.1)
        return found.result()


def with_endpoint(url: str) -> str:
    """The address with the S3 server that this process's environment names, which other machines may not know."""
    server = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if not url.startswith("s3://") or not server or "endpoint_override=" in url:
        return url
    parts = urlsplit(server)
    return f"{url}{'&' if '?' in url else '?'}endpoint_override={parts.netloc}&scheme={parts.scheme}"


def child(url: str, name: str) -> str:
    """The address of a folder in a place for checkpoints."""
    head, mark, query = url.partition("?") if is_remote(url) else (url, "", "")
    return f"{head.rstrip('/')}/{name}{mark}{query}"


def check_seen_by_all(url: str, nodes: int) -> None:
    """Whether every machine of the connected cluster sees a folder; an object store is seen from everywhere.

    Raises:
        InputError: one does not; names it.
    """
    if nodes < 2 or is_remote(url):
        return
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    folder = Path(url)
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / f".seen-{uuid.uuid4().hex}"
    probe.touch()
    try:
        look = ray.remote(num_cpus=0)(_exists)
        asked = {
            look.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(
                str(probe)
            ): node
            for node in ray.nodes()
            if node["Alive"]
        }
        answered, _ = ray.wait([*asked], num_returns=len(asked), timeout=60)
        for answer in answered:
            try:
                seen = ray.get(answer)
            except ray.exceptions.RayError:  # a machine that is lost just now holds no trial
                continue
            if not seen:
                node = asked[answer]
                raise InputError(
                    f"{folder} is not seen by node {node['NodeManagerHostname']}, on which trials would run: name a "
                    "folder that all machines share, or an object store such as s3://bucket/path, by `checkpoints:` in "
                    "the file or by MOEDSR_CHECKPOINTS"
                )
    finally:
        probe.unlink(missing_ok=True)


def _exists(path: str) -> bool:
    return Path(path).exists()


def check_writable(url: str) -> None:
    """Writes a file and deletes it again.

    Raises:
        InputError: that cannot be done; says why.
    """
    scheme = urlsplit(url).scheme
    if is_remote(url) and scheme not in SCHEMES:
        raise InputError(
            f"checkpoints is {url}, but must be a folder, or begin with {' or '.join(f'{one}://' for one in SCHEMES)}"
        )
    try:
        filesystem, root = open_filesystem(url, attempts=3)
        probe = f"{root}/.writable-{uuid.uuid4().hex}"
        filesystem.create_dir(root)
        with filesystem.open_output_stream(probe) as stream:
            stream.write(b"moedsr")
        filesystem.delete_file(probe)
    except (OSError, pyarrow.ArrowException, ValueError) as error:
        reason = str(error).strip().splitlines()[0][:200]
        advice = (
            "; keys are taken from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, another server is named by "
            f"{url}?endpoint_override=HOST:PORT&scheme=http"
            if scheme == "s3"
            else ""
        )
        raise InputError(f"checkpoints cannot be written to {url}: {reason}{advice}") from None


def open_filesystem(url: str, attempts: int = ATTEMPTS) -> tuple[fs.FileSystem, str]:
    """pyarrow's file system behind an address, and the path on it."""
    if not is_remote(url):
        return fs.LocalFileSystem(), url
    parts = urlsplit(url)
    options = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    path = f"{parts.netloc}{parts.path}".rstrip("/")
    if parts.scheme == "gs":
        return fs.GcsFileSystem(retry_time_limit=timedelta(minutes=5), **options), path
    return _s3(options, attempts), path


class _PatientS3(fs.S3FileSystem):
    """pyarrow's own, which loses its retry strategy when it is pickled."""

    def __init__(self, options: dict[str, str], attempts: int) -> None:
        super().__init__(
            **options,
            retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=attempts),
            connect_timeout=5,
            request_timeout=20,
        )
        self._arguments = (options, attempts)

    def __reduce__(self) -> tuple[Any, ...]:
        return _s3, self._arguments


def _s3(options: dict[str, str], attempts: int) -> _PatientS3:
    return _PatientS3(options, attempts)


def _without_query(url: str) -> str:
    return url.partition("?")[0].rstrip("/") if is_remote(url) else url
