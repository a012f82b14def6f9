"""Entries of ATLAS as folders of ensembles, each complete or not there at all.

Archives on their way lie in ``OUT/.downloads``; what a stopped fetch leaves there the next one goes on with.
``OUT/ID/source.json`` says where an entry came from and how large its files are.
"""

import contextlib
import errno
import json
import shutil
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from moedsr.errors import InputError, JobError
from moedsr.structures.atlas.archive import DamagedArchiveError, RefusedArchiveError, unpack
from moedsr.structures.atlas.catalogue import REPLICAS, SERVER, Tier, addresses
from moedsr.structures.atlas.download import Downloader, DownloadError, UnreachableError, discard
from moedsr.structures.folder_lock import alone_in

SOURCE = "source.json"
_DOWNLOADS = ".downloads"
_UNREACHABLE_IN_A_ROW = 3  # entries, after which the server counts as away


@dataclass(frozen=True, kw_only=True)
class FetchOrder:
    """What to fetch, from where, and how hard to try."""

    tier: Tier = "analysis"
    server: str = SERVER
    archives: Path | None = None  # folder of archives that are here already; then nothing is downloaded
    connections: int = 2
    retries: int = 6  # attempts in a row that may bring nothing new
    first_wait: float = 1.0  # seconds before the first retry


@dataclass
class FetchSummary:
    """What became of each entry."""

    fetched: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)  # name to reason


class Report(Protocol):
    """Hears of the fetch while it goes on, from several threads."""

    def received(self, name: str, here: int, total: int | None, before: bool) -> None:
        """Bytes of an entry's archive; ``before`` where an earlier attempt had brought them."""

    def ended(self, name: str, failure: str | None) -> None:
        """An entry is there, or why not."""


def fetch(names: Sequence[str], out: Path, order: FetchOrder, report: Report) -> FetchSummary:
    """Fetches entries into ``out/ID``; those that are complete stay as they are.

    Args:
        names: ids of entries.
        out: made when missing.
        order: what, from where, how.
        report: hears of it.

    Raises:
        InputError: the folder cannot be written, the folder of archives cannot be read.
        JobError: a full disk, a server that is away, another process that fetches into the same folder.
        KeyboardInterrupt: as it comes, once all connections are closed.
    """
    summary = FetchSummary()
    wanted = list(dict.fromkeys(names))
    summary.present = [name for name in wanted if is_complete(out, name, order.tier)]
    missing = [name for name in wanted if name not in set(summary.present)]
    downloads = _make_writable(out)
    with alone_in(downloads):
        try:
            if missing:
                _fetch_missing(missing, out, order, report, summary)
        finally:
            with contextlib.suppress(OSError):  # it holds what the next fetch goes on with
                downloads.rmdir()
    return summary


def is_complete(out: Path, name: str, tier: Tier) -> bool:
    """Whether an entry's files are there, of the tier and the sizes that were fetched.

    Without ``source.json``, as in a folder unpacked by hand, P0 and the replicas must be there and not empty.
    """
    folder = out / name
    try:
        source = json.loads((folder / SOURCE).read_text(encoding="utf-8"))
        sizes: dict[str, int] = source["files"]
        return bool(source["tier"] == tier) and all(
            (folder / file).is_file() and (folder / file).stat().st_size == size for file, size in sizes.items()
        )
    except FileNotFoundError:
        spellings = [[f"{name}_prod_R{n}_fit.xtc" for n in REPLICAS], [f"{name}_R{n}.xtc" for n in REPLICAS]]
        return _filled(folder / f"{name}.pdb") and any(
            all(_filled(folder / file) for file in spelling) for spelling in spellings
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def archives_in(folder: Path, tier: Tier) -> list[str]:
    """Ids of the archives that lie in a folder.

    Raises:
        InputError: none does.
    """
    ending = f"_{tier}.zip"
    names = sorted(path.name.removesuffix(ending) for path in folder.glob(f"*{ending}"))
    if not names:
        raise InputError(f"{folder}: holds no archive of the tier {tier}; expected {{id}}{ending}")
    return names


def _fetch_missing(names: list[str], out: Path, order: FetchOrder, report: Report, summary: FetchSummary) -> None:
    stop = threading.Event()
    local = threading.local()

    def fetch_one(name: str) -> None:
        if not hasattr(local, "downloader"):
            local.downloader = Downloader(retries=order.retries, stop=stop, first_wait=order.first_wait)
        if not stop.is_set():
            _Entry(name, out, order).fetch(local.downloader, report)

    unreachable = 0
    with ThreadPoolExecutor(max_workers=order.connections) as pool:
        try:
            left: dict[Future[None], str] = {pool.submit(fetch_one, name): name for name in names}
            while left:
                for future in wait(left, return_when=FIRST_COMPLETED).done:
                    name = left.pop(future)
                    failure = _failure(future)
                    unreachable = unreachable + 1 if isinstance(failure, UnreachableError) else 0
                    if unreachable == _UNREACHABLE_IN_A_ROW:
                        raise JobError(
                            f"{order.server}: {failure}, for {unreachable} entries in a row; try again later"
                        )
                    if failure is None:
                        summary.fetched.append(name)
                    else:
                        summary.failed[name] = str(failure)
                    report.ended(name, None if failure is None else str(failure))
        except BaseException:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _failure(future: Future[None]) -> Exception | None:
    """Why this one entry cannot be had; what stops all of them is raised."""
    try:
        future.result()
    except (DownloadError, DamagedArchiveError, RefusedArchiveError) as error:
        return error
    return None


class _Entry:
    """One entry on its way."""

    def __init__(self, name: str, out: Path, order: FetchOrder) -> None:
        self.name, self.out, self.order = name, out, order
        self.folder = out / name
        self.unpacked = out / _DOWNLOADS / name
        self.part = out / _DOWNLOADS / f"{name}_{order.tier}.zip.part"

    def fetch(self, downloader: Downloader, report: Report) -> None:
        """Brings the entry, or raises why it cannot be had; JobError where nothing more can be written."""
        try:
            if self.order.archives is not None:
                self._unpack(_local_archive(self.order.archives, self.name, self.order.tier))
                return
            try:
                self._download_and_unpack(downloader, report)
            except DamagedArchiveError:  # once more, from the first byte: what was here before may have been at fault
                self._download_and_unpack(downloader, report)
        except OSError as error:
            discard(self.part)
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO):
                raise JobError(
                    f"{self.out}: {error.strerror} while {self.name} was written; nothing of it was left behind, "
                    "and once that is put right the same command goes on"
                ) from error
            raise
        finally:
            shutil.rmtree(self.unpacked, ignore_errors=True)

    def _download_and_unpack(self, downloader: Downloader, report: Report) -> None:
        told: Callable[[int, int | None, bool], None] = lambda here, total, before: report.received(  # noqa: E731
            self.name, here, total, before
        )
        downloader.download(addresses(self.name, self.order.tier, self.order.server), self.part, told)
        try:
            self._unpack(self.part)
        finally:
            discard(self.part)

    def _unpack(self, archive: Path) -> None:
        shutil.rmtree(self.unpacked, ignore_errors=True)
        self.unpacked.mkdir()
        sizes = unpack(archive, self.name, self.unpacked)
        source = {"id": self.name, "tier": self.order.tier, "from": self._origin(), "files": sizes}
        (self.unpacked / SOURCE).write_text(json.dumps(source, indent=1) + "\n", encoding="utf-8")
        if not self.folder.exists():
            self.unpacked.rename(self.folder)
            return
        for file in (*sizes, SOURCE):  # an incomplete folder is completed, what says so last
            (self.unpacked / file).replace(self.folder / file)

    def _origin(self) -> str:
        return self.order.server if self.order.archives is None else str(self.order.archives)


def _local_archive(folder: Path, name: str, tier: Tier) -> Path:
    candidates = [folder / f"{name}_{tier}.zip", folder / name / f"{name}_{tier}.zip"]
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        raise DownloadError(f"{folder} holds no {name}_{tier}.zip")
    return found


def _make_writable(out: Path) -> Path:
    """The folder of archives on their way; what is wrong with the target is said before anything is fetched."""
    downloads = out / _DOWNLOADS
    try:
        downloads.mkdir(parents=True, exist_ok=True)
        probe = downloads / ".probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror}") from error
    return downloads


def _filled(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0
