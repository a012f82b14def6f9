"""Fetching from a real server that cuts, refuses, changes its mind and lies."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from atlas_server import Act, AtlasServer, archive, entry, members, serving
from click.testing import CliRunner

from moedsr.errors import InputError, JobError
from moedsr.structures.atlas import download as downloads
from moedsr.structures.atlas import fetch as fetching
from moedsr.structures.atlas.fetch import FetchOrder, FetchSummary, fetch
from moedsr.structures.ensemble import find_ensembles
from moedsr_platform.cli.data.fetch import fetch as command

A, B, C = "1k5n_A", "5e3e_A", "6jpt_A"


class Silent:
    """Hears everything and keeps what matters."""

    def __init__(self) -> None:
        self.last: dict[str, tuple[int, int | None]] = {}

    def received(self, name: str, here: int, total: int | None, before: bool) -> None:
        self.last[name] = (here, total)

    def ended(self, name: str, failure: str | None) -> None: ...


@pytest.fixture
def server() -> Iterator[AtlasServer]:
    with serving() as running:
        yield running


def get(server: AtlasServer, out: Path, *names: str, **order: object) -> FetchSummary:
    settings = {"server": server.address, "retries": 3, "first_wait": 0.001, **order}
    return fetch(names, out, FetchOrder(**settings), Silent())  # type: ignore[arg-type]


def assert_complete(out: Path, *names: str) -> None:
    assert sorted(path.name for path in out.iterdir()) == sorted(names)  # and nothing half-written
    for name in names:
        for file, content in members(name).items():
            assert (out / name / file).read_bytes() == content


def test_entries_arrive_as_ensembles(server: AtlasServer, tmp_path: Path) -> None:
    for name in (A, B):
        server.put(name, entry(name))
    summary = get(server, tmp_path, A, B, A)
    assert (sorted(summary.fetched), summary.present, summary.failed) == ([A, B], [], {})
    assert_complete(tmp_path, A, B)
    assert [found.name for found in find_ensembles(tmp_path)] == [A, B]


def test_complete_entries_are_not_asked_for_again(server: AtlasServer, tmp_path: Path) -> None:
    server.put(A, entry(A))
    get(server, tmp_path, A)
    asked = len(server.asked)
    assert get(server, tmp_path, A).present == [A]
    assert len(server.asked) == asked
    (tmp_path / A / f"{A}_R2.xtc").write_bytes(b"short")
    assert get(server, tmp_path, A).fetched == [A]
    assert_complete(tmp_path, A)


def test_a_cut_is_gone_on_from_where_it_came(server: AtlasServer, tmp_path: Path) -> None:
    content = entry(A)
    half = len(content) // 2
    server.put(A, content, Act(cut_after=half), Act(cut_after=1000))
    assert get(server, tmp_path, A).fetched == [A]
    assert_complete(tmp_path, A)
    assert server.ranges(A) == [None, f"bytes={half}-", f"bytes={half + 1000}-"]


def test_many_cuts_are_no_failure_while_each_attempt_brings_something(server: AtlasServer, tmp_path: Path) -> None:
    content = entry(A)
    server.put(A, content, *[Act(cut_after=len(content) // 12)] * 11)
    assert get(server, tmp_path, A, retries=1).fetched == [A]
    assert_complete(tmp_path, A)


def test_server_that_ignores_ranges_is_taken_from_the_start(server: AtlasServer, tmp_path: Path) -> None:
    content = entry(A)
    server.put(A, content, Act(cut_after=5000), Act(ranges=False, cut_after=9000), Act(ranges=False))
    assert get(server, tmp_path, A).fetched == [A]
    assert_complete(tmp_path, A)


def test_answer_without_a_length_is_checked_by_the_archive(server: AtlasServer, tmp_path: Path) -> None:
    server.put(A, entry(A), Act(length=False, cut_after=9000), Act(length=False))
    assert get(server, tmp_path, A).fetched == [A]
    assert_complete(tmp_path, A)


def test_file_that_changed_meanwhile_is_taken_whole(server: AtlasServer, tmp_path: Path) -> None:
    content = entry(A)
    part = tmp_path / ".downloads" / f"{A}_analysis.zip.part"
    part.parent.mkdir()
    part.write_bytes(b"x" * 5000)
    part.with_name(f"{part.name}.validator").write_text('"older"')
    server.put(A, content)
    assert get(server, tmp_path, A).fetched == [A]
    assert server.ranges(A) == ["bytes=5000-"]  # one request: it came whole at once
    assert_complete(tmp_path, A)


def test_wrong_beginning_is_found_out_and_fetched_again(server: AtlasServer, tmp_path: Path) -> None:
    part = tmp_path / ".downloads" / f"{A}_analysis.zip.part"
    part.parent.mkdir()
    part.write_bytes(b"x" * 5000)
    server.put(A, entry(A))
    assert get(server, tmp_path, A).fetched == [A]
    assert server.ranges(A) == ["bytes=5000-", None]
    assert_complete(tmp_path, A)


@pytest.mark.parametrize("extra", [b"", b"more than there is"])
def test_finished_or_overlong_part_is_told_from_the_range(server: AtlasServer, tmp_path: Path, extra: bytes) -> None:
    part = tmp_path / ".downloads" / f"{A}_analysis.zip.part"
    part.parent.mkdir()
    part.write_bytes(entry(A) + extra)
    server.put(A, entry(A))
    assert get(server, tmp_path, A).fetched == [A]
    assert_complete(tmp_path, A)


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_passing_trouble_is_tried_again(server: AtlasServer, tmp_path: Path, status: int) -> None:
    server.put(A, entry(A), Act(status=status), Act(status=status))
    assert get(server, tmp_path, A).fetched == [A]
    assert len(server.asked) == 3


def test_waits_grow_and_differ_and_retry_after_is_obeyed(
    server: AtlasServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    waits: list[float] = []
    monkeypatch.setattr(threading.Event, "wait", lambda self, timeout=None: waits.append(timeout) if timeout else None)
    date = Act(status=503, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"})
    acts = [Act(status=500)] * 3 + [Act(status=429, headers={"Retry-After": "7"}), date]
    downloader = downloads.Downloader(retries=9, stop=threading.Event(), first_wait=1.0)
    server.put(A, entry(A), *acts)
    path = server.address + next(iter(server.files))
    downloader.download([path], tmp_path / "file", lambda here, total, before: None)
    assert [low <= wait <= 3 * low for low, wait in zip((1.0, 2.0, 4.0), waits, strict=False)] == [True] * 3
    assert waits[3:] == [7.0]  # a date in the past is no wait
    assert len(set(waits)) == len(waits)


def test_lasting_trouble_and_absence_are_told_and_spare_the_others(server: AtlasServer, tmp_path: Path) -> None:
    server.put(A, entry(A), *[Act(status=500)] * 9)
    server.put(B, entry(B))
    summary = get(server, tmp_path, A, B, C)
    assert summary.fetched == [B]
    assert summary.failed[A] == "HTTP 500 Internal Server Error (4 attempts without progress)"
    assert summary.failed[C] == "HTTP 404 Not Found; HTTP 404 Not Found"
    assert_complete(tmp_path, B)


def test_the_programming_interface_is_asked_where_the_static_copy_lacks(server: AtlasServer, tmp_path: Path) -> None:
    server.files[f"/api/ATLAS/analysis/{A}"] = entry(A)
    assert get(server, tmp_path, A).fetched == [A]
    assert_complete(tmp_path, A)


def test_damaged_archive_is_fetched_once_more(server: AtlasServer, tmp_path: Path) -> None:
    content = bytearray(entry(A))
    content[len(content) // 2] ^= 0xFF
    server.put(A, entry(A), Act(body=bytes(content)))
    assert get(server, tmp_path, A).fetched == [A]
    server.put(B, entry(B)[:-500])  # truncated where it was made: its size is as promised
    failed = get(server, tmp_path, B).failed
    assert failed[B].startswith("damaged archive: ")
    server.put(C, b"<html>The site is down for maintenance.</html>")
    assert get(server, tmp_path, C).failed[C].startswith("damaged archive: ")
    assert_complete(tmp_path, A)


def test_no_more_connections_than_allowed(server: AtlasServer, tmp_path: Path) -> None:
    from moedsr.structures.atlas.catalogue import pinned_ids

    for name in pinned_ids()[:8]:
        server.put(name, entry(name))
    assert len(get(server, tmp_path, *pinned_ids()[:8]).fetched) == 8
    assert 1 <= server.most_at_once <= 2


def test_server_that_is_away_stops_the_rest(tmp_path: Path) -> None:
    from moedsr.structures.atlas.catalogue import pinned_ids

    with serving() as server:
        pass  # its port is free again
    with pytest.raises(JobError, match=r"no connection .* for 3 entries in a row; try again later"):
        get(server, tmp_path, *pinned_ids()[:50], retries=0)


def test_both_spellings_and_one_nested_folder_are_known(server: AtlasServer, tmp_path: Path) -> None:
    fitted = members(A, spelling="{name}_prod_R{number}_fit.xtc")
    both = {f"{A}/{file}": content for file, content in {**members(A), **fitted, "README.txt": b"hello"}.items()}
    server.put(A, archive(both), tier="protein")
    assert get(server, tmp_path, A, tier="protein").fetched == [A]
    assert sorted(path.name for path in (tmp_path / A).iterdir()) == sorted([*fitted, fetching.SOURCE])
    (found,) = find_ensembles(tmp_path)
    assert len(found.trajectories) == 3


def test_another_tier_is_fetched_beside(server: AtlasServer, tmp_path: Path) -> None:
    server.put(A, entry(A))
    server.put(A, archive(members(A, spelling="{name}_prod_R{number}_fit.xtc")), tier="protein")
    get(server, tmp_path, A)
    assert get(server, tmp_path, A, tier="protein").fetched == [A]
    (found,) = find_ensembles(tmp_path)
    assert found.trajectories[0].name == f"{A}_prod_R1_fit.xtc"


def test_archives_on_disk_need_no_server(tmp_path: Path) -> None:
    here = tmp_path / "archives"
    here.mkdir()
    (here / f"{A}_analysis.zip").write_bytes(entry(A))
    summary = fetch([A, B], tmp_path / "out", FetchOrder(archives=here), Silent())
    assert summary.fetched == [A]
    assert summary.failed == {B: f"{here} holds no {B}_analysis.zip"}
    assert_complete(tmp_path / "out", A)
    assert (here / f"{A}_analysis.zip").exists()


def test_full_disk_leaves_nothing_and_goes_on_later(
    server: AtlasServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.put(A, entry(A))

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(fetching, "unpack", full)
        with pytest.raises(JobError, match=f"No space left on device while {A} was written; nothing of it was left"):
            get(server, tmp_path, A)
    assert list(tmp_path.iterdir()) == []
    assert get(server, tmp_path, A).fetched == [A]
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    server.put(B, entry(B))
    with pytest.raises(JobError, match="0 MB are free, too little for the 0 MB of"):
        get(server, tmp_path, B)
    assert_complete(tmp_path, A)


def test_target_that_cannot_be_written_is_told_before_anything_is_asked(server: AtlasServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file/below: cannot be written: Not a directory"):
        get(server, tmp_path / "file" / "below", A)
    assert server.asked == []


def test_second_fetch_into_the_same_folder_is_refused(server: AtlasServer, tmp_path: Path) -> None:
    from moedsr.structures.folder_lock import alone_in

    (tmp_path / ".downloads").mkdir()
    with alone_in(tmp_path / ".downloads"), pytest.raises(JobError, match="another process works there already"):
        get(server, tmp_path, A)


def test_killed_fetch_goes_on(server: AtlasServer, tmp_path: Path) -> None:
    content = archive({**members(A), "padding.bin": os.urandom(3_000_000)})
    server.put(A, content)
    server.put(B, entry(B))
    program = (
        "import sys, time, moedsr.structures.atlas.download as d\n"
        "from moedsr.structures.atlas.fetch import FetchOrder, fetch\n"
        "from pathlib import Path\n"
        "class Slow:\n"
        "    def received(self, name, here, total, before): time.sleep(0.2 if here > 1_000_000 else 0)\n"
        "    def ended(self, name, failure): pass\n"
        f"fetch([{B!r}, {A!r}], Path(sys.argv[1]), FetchOrder(server=sys.argv[2]), Slow())\n"
    )
    killed = subprocess.Popen([sys.executable, "-c", program, str(tmp_path), server.address])
    part = tmp_path / ".downloads" / f"{A}_analysis.zip.part"
    while killed.poll() is None and not (part.exists() and part.stat().st_size > 1_000_000):
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    held = part.stat().st_size
    assert 0 < held < len(content)
    assert get(server, tmp_path, A, B).failed == {}
    assert server.ranges(A) == [None, f"bytes={held}-"]
    assert_complete(tmp_path, A, B)


def run(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])
    error = result.exception
    told = f"{type(error).__name__}: {error}" if error and not isinstance(error, SystemExit) else ""
    return result.exit_code, result.output + told


def test_command_tells_what_failed_and_why(server: AtlasServer, tmp_path: Path) -> None:
    server.put(A, entry(A))
    listed = tmp_path / "ids.txt"
    listed.write_text(f"# mine\n{B}\n\n")
    out = tmp_path / "out"
    _, told = run(A, "--list", listed, "--out", out, "--server", server.address)
    assert "2 of 2 entries to fetch, about 0.11 GB" in told
    assert "1 fetched, 0 already complete, 1 failed" in told
    assert f"  {B}: HTTP 404 Not Found" in told
    assert "JobError: 1 of 2 entries could not be fetched, for the reasons above; the same command tries them" in told
    code, told = run(A, "--out", out, "--server", server.address)
    assert (code, told) == (0, "0 fetched, 1 already complete, 0 failed\n")


def test_command_asks_for_entries_and_takes_a_folder_of_archives(tmp_path: Path) -> None:
    assert "InputError: which entries? give ids, --list FILE or --all" in run("--out", tmp_path / "out")[1]
    here = tmp_path / "archives"
    here.mkdir()
    assert f"{here}: holds no archive of the tier analysis" in run("--archive", here, "--out", tmp_path / "out")[1]
    (here / f"{A}_analysis.zip").write_bytes(entry(A))
    assert run("--archive", here, "--out", tmp_path / "out")[0] == 0
    assert_complete(tmp_path / "out", A)
