"""A real HTTP server on loopback that serves archives laid out as ATLAS does, and misbehaves as it is told to."""

import io
import stat
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from moedsr.structures import ensemble

MINI_ATLAS = Path(ensemble.__file__).parent / "mini_atlas"


@dataclass
class Act:
    """What one request gets instead of the whole file with ranges honoured."""

    status: int | None = None  # an answer without the file
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_after: int | None = None  # bytes, after which the connection is closed
    ranges: bool = True
    length: bool = True
    body: bytes | None = None  # other content


@dataclass
class AtlasServer:
    """Files by path, what is next for each path, and what was asked for."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    acts: dict[str, list[Act]] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)  # path, Range
    most_at_once: int = 0
    etag: str = '"one"'

    def put(self, name: str, content: bytes, *acts: Act, tier: str = "analysis") -> None:
        """Serves an archive of an entry."""
        path = f"/database/ATLAS/{name}/{name}_{tier}.zip"
        self.files[path] = content
        self.acts[path] = list(acts)

    def ranges(self, name: str) -> list[str | None]:
        """Range headers of the requests for an entry's archive."""
        return [asked for path, asked in self.asked if path.startswith(f"/database/ATLAS/{name}/")]


def members(name: str, like: str = "1l2y_A", spelling: str = "{name}_R{number}.xtc") -> dict[str, bytes]:
    """Files of an entry, with the content of a bundled one."""
    found = {f"{name}.pdb": (MINI_ATLAS / like / f"{like}.pdb").read_bytes()}
    for number in (1, 2, 3):
        content = (MINI_ATLAS / like / f"{like}_R{number}.xtc").read_bytes()
        found[spelling.format(name=name, number=number)] = content[:20_000]
    return found


def archive(files: Mapping[str, bytes], *, link: str | None = None) -> bytes:
    """A ZIP file; ``link`` is made a symbolic link."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (stat.S_IFLNK if name == link else stat.S_IFREG) << 16
            file.writestr(info, content)
    return held.getvalue()


def entry(name: str) -> bytes:
    """A sound archive."""
    return archive(members(name))


@contextmanager
def serving() -> Iterator[AtlasServer]:
    """Serves on a free port of loopback until the end."""
    state = AtlasServer()
    lock = threading.Lock()
    running = 0

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            nonlocal running
            with lock:
                running += 1
                state.most_at_once = max(state.most_at_once, running)
                state.asked.append((self.path, self.headers.get("Range")))
                acts = state.acts.get(self.path, [])
                act = acts.pop(0) if acts else Act()
            try:
                self._answer(act)
            except ConnectionError:
                pass
            finally:
                with lock:
                    running -= 1

        def _answer(self, act: Act) -> None:
            content = state.files.get(self.path) if act.body is None else act.body
            if act.status is not None or content is None:
                self.send_response(act.status or 404)
                for key, value in {"Content-Length": "0", **act.headers}.items():
                    self.send_header(key, value)
                self.end_headers()
                return
            start = 0
            asked = self.headers.get("Range")
            same = self.headers.get("If-Range", state.etag) == state.etag
            if asked and act.ranges and same:
                start = int(asked.removeprefix("bytes=").removesuffix("-"))
                self.send_response(206 if start < len(content) else 416)
                told = f"{start}-{len(content) - 1}" if start < len(content) else "*"
                self.send_header("Content-Range", f"bytes {told}/{len(content)}")
            else:
                self.send_response(200)
            self.send_header("ETag", state.etag)
            if act.length:
                self.send_header("Content-Length", str(len(content) - start))
            else:
                self.close_connection = True
            self.end_headers()
            stop = len(content) if act.cut_after is None else min(len(content), start + act.cut_after)
            self.wfile.write(content[start:stop])
            if stop < len(content):
                self.close_connection = True

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
