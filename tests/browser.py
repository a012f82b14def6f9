"""A headless Chromium that tests drive by chromedriver's own protocol (W3C WebDriver), without further packages."""

import base64
import io
import json
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from PIL import Image

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
MISSING = "needs Chromium and its driver (apt install chromium chromium-driver)"

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the protocol's name of a reference to an element
_FLAGS = (
    "--headless", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-quic",
    "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars",
)  # fmt: skip


class Browser:
    """One window."""

    def __init__(self, session: str) -> None:
        self._session = session

    def open(self, address: str) -> None:
        self._ask("POST", "url", {"url": address})

    def run(self, script: str, *values: Any) -> Any:
        """What the body of a JavaScript function returns."""
        return self._ask("POST", "execute/sync", {"script": script, "args": list(values)})

    def until(self, script: str, seconds: float = 60.0) -> Any:
        """What the script returns as soon as that is true.

        Raises:
            TimeoutError: it never was.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if value := self.run(script):
                return value
            time.sleep(0.1)
        raise TimeoutError(f"{script!r} stayed false for {seconds} s")

    def find(self, selector: str) -> str:
        """Reference to the first element of a CSS selector."""
        return self._ask("POST", "element", {"using": "css selector", "value": selector})[_ELEMENT]

    def click(self, selector: str) -> None:
        self._ask("POST", f"element/{self.find(selector)}/click", {})

    def type(self, selector: str, text: str) -> None:
        self._ask("POST", f"element/{self.find(selector)}/value", {"text": text})

    def drag(self, selector: str, by: tuple[int, int], *, button: int = 0) -> None:
        """From the middle of an element."""
        moves = [
            {"type": "pointerMove", "origin": {_ELEMENT: self.find(selector)}, "x": 0, "y": 0},
            {"type": "pointerDown", "button": button},
            {"type": "pointerMove", "origin": "pointer", "x": by[0], "y": by[1], "duration": 100},
            {"type": "pointerUp", "button": button},
        ]
        self._act([{"type": "pointer", "id": "mouse", "actions": moves}])

    def wheel(self, selector: str, by: int) -> None:
        turn = {"type": "scroll", "origin": {_ELEMENT: self.find(selector)}, "x": 0, "y": 0, "deltaX": 0, "deltaY": by}
        self._act([{"type": "wheel", "id": "wheel", "actions": [turn]}])

    def press(self, key: str) -> None:
        """A key, by the protocol's character for it, wherever the focus is."""
        strokes = [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
        self._act([{"type": "key", "id": "keys", "actions": strokes}])

    def picture(self, selector: str | None = None) -> np.ndarray:
        """(height, width, 3) of the window or of one element, 0 to 255."""
        what = f"element/{self.find(selector)}/screenshot" if selector else "screenshot"
        image = Image.open(io.BytesIO(base64.b64decode(self._ask("GET", what))))
        return np.asarray(image.convert("RGB")).astype(int)

    def complaints(self) -> list[str]:
        """What the page has written to the console as errors."""
        entries = self._ask("POST", "se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]

    def _act(self, actions: Sequence[dict[str, Any]]) -> None:
        self._ask("POST", "actions", {"actions": actions})

    def _ask(self, method: str, what: str, body: dict[str, Any] | None = None) -> Any:
        return _ask(method, f"{self._session}/{what}", body)


@contextmanager
def browser(width: int = 900, height: int = 700) -> Iterator[Browser]:
    """A window with an empty profile; everything ends with it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert CHROMIUM is not None
    assert DRIVER is not None
    driver = subprocess.Popen([DRIVER, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    root = f"http://127.0.0.1:{port}"
    try:
        with tempfile.TemporaryDirectory(prefix="moedsr-browser-", ignore_cleanup_errors=True) as profile:
            flags = [*_FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}"]
            wanted = {
                "browserName": "chrome",
                "goog:chromeOptions": {"binary": CHROMIUM, "args": flags},
                "goog:loggingPrefs": {"browser": "ALL"},
            }
            session = _start(f"{root}/session", {"capabilities": {"alwaysMatch": wanted}})
            try:
                yield Browser(f"{root}/session/{session}")
            finally:
                _ask("DELETE", f"{root}/session/{session}", None)
    finally:
        driver.terminate()
        driver.wait(timeout=30)


def _start(address: str, wanted: dict[str, Any]) -> str:
    """The driver takes a moment until it listens."""
    end = time.monotonic() + 30
    while True:
        try:
            return str(_ask("POST", address, wanted)["sessionId"])
        except urllib.error.URLError as error:
            if isinstance(error, urllib.error.HTTPError) or time.monotonic() > end:
                raise
            time.sleep(0.1)


def _ask(method: str, address: str, body: dict[str, Any] | None) -> Any:
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, content, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as error:
        error.add_note(error.read().decode()[:2000])
        raise
