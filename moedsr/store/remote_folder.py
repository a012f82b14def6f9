"""Folders in object stores and on other remote file systems, through pyarrow and, for what it lacks, fsspec."""

import re
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.fs as pafs

from moedsr.errors import InputError

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+):/+")
_OF_PYARROW = ("s3", "gs", "gcs", "hdfs", "viewfs", "abfs", "abfss")
_CHUNK = 1 << 22


class RemoteFile(NamedTuple):
    """What a listing says of a file."""

    name: str  # below the folder, with /
    size: int  # bytes
    changed: int  # ns


def is_remote(address: str | Path) -> bool:
    """Whether an address is a URL, as s3://bucket/folder; a mounted file system (NFS) is a path as any other."""
    return _SCHEME.match(str(address)) is not None


class RemoteFolder:
    """One folder; may be pickled to worker processes."""

    def __init__(self, address: str | Path) -> None:
        match = _SCHEME.match(str(address))
        assert match, "is_remote"
        # a path that went through pathlib has lost a slash
        self.address = f"{match[1]}://{str(address)[match.end() :].rstrip('/')}"
        try:
            self._files, self._root = _resolve(match[1], self.address)
        except (pa.ArrowException, OSError, ValueError, ImportError) as error:
            raise InputError(f"{self.address}: cannot be reached: {_first_line(error)}") from error

    def list(self) -> list[RemoteFile]:
        """All files below, sorted by name; none where there is no such folder.

        Raises:
            InputError: the store cannot be reached.
        """
        selector = pafs.FileSelector(self._root, recursive=True, allow_not_found=True)
        try:
            found = self._files.get_file_info(selector)
        except OSError as error:
            raise InputError(f"{self.address}: cannot be listed: {_first_line(error)}") from error
        start = len(self._root) + 1
        return sorted(
            RemoteFile(info.path[start:], info.size, info.mtime_ns or 0)
            for info in found
            if info.type == pafs.FileType.File
        )

    def read(self, name: str) -> bytes | None:
        """A whole small file; None where there is none.

        Raises:
            InputError: the store cannot be reached.
        """
        path = f"{self._root}/{name}"
        try:
            if self._files.get_file_info(path).type != pafs.FileType.File:
                return None
            with self._files.open_input_stream(path) as stream:
                return bytes(stream.read())
        except OSError as error:
            raise InputError(f"{self.address}: {name} cannot be read: {_first_line(error)}") from error

    def download(self, name: str, target: Path) -> None:
        """A file to a local path, written aside and renamed."""
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = target.with_name(f".{target.name}.part")
        with self._files.open_input_stream(f"{self._root}/{name}") as stream, aside.open("wb") as file:
            while chunk := stream.read(_CHUNK):
                file.write(chunk)
        aside.replace(target)

    def upload(self, path: Path, name: str) -> None:
        """A local file to a name; object stores show it when it is complete."""
        self._files.create_dir(self._root, recursive=True)
        with path.open("rb") as file, self._files.open_output_stream(f"{self._root}/{name}") as stream:
            while chunk := file.read(_CHUNK):
                stream.write(chunk)


def _resolve(scheme: str, address: str) -> tuple[pafs.FileSystem, str]:
    if scheme in _OF_PYARROW:
        files, root = pafs.FileSystem.from_uri(address)
        return files, root
    import fsspec

    filesystem, root = fsspec.core.url_to_fs(address)
    return pafs.PyFileSystem(pafs.FSSpecHandler(filesystem)), root.rstrip("/")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
