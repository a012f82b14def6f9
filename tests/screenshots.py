"""The pictures of platform/images: a finished sweep's pages in MLflow's UI, as a browser shows them.

After `MOEDSR_HOME=DIR moedsr sweep sweeps/quickstart.yaml`, of the latest sweep in DIR, in about a minute:
`MOEDSR_HOME=DIR python tests/screenshots.py platform/images`.
"""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from browser import CHROMIUM, DRIVER, MISSING, Browser, browser
from PIL import Image

from moedsr_platform.reports.sweep_results import find_sweep
from moedsr_platform.tracking.client import connect
from moedsr_platform.tracking.run_names import KEY_TAG
from moedsr_platform.tracking.sweep_page import MODE, view_address

CLOSE_ASSISTANT = """for (const button of document.querySelectorAll('button'))
  if (button.getAttribute('aria-label') === 'Close' || button.innerText === 'Show more') button.click()"""


def main(folder: Path) -> None:
    """Writes `sweep_note.png` and `sweep_comparison.png`."""
    sweep = find_sweep(connect(create=False), None)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "moedsr_platform", "ui", "--port", str(port)]
    server = subprocess.Popen(command, start_new_session=True)
    try:
        root = f"http://127.0.0.1:{port}/"
        wait_for(root)
        page = f"{root}#/experiments/{sweep.info.experiment_id}/runs/{sweep.info.run_id}?{MODE}"
        view = f"{root}#{view_address(sweep.info.experiment_id, sweep.data.tags[KEY_TAG])}"
        with browser(1400, 1400) as window:
            shoot(window, page, "compare the trials", folder / "sweep_note.png")
        with browser(1900, 680) as window:
            shoot(window, view, "matching runs", folder / "sweep_comparison.png")
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def wait_for(address: str) -> None:
    """Until the server answers."""
    for _ in range(300):
        try:
            with urllib.request.urlopen(f"{address}health", timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    raise TimeoutError(address)


def shoot(window: Browser, address: str, awaited: str, path: Path) -> None:
    """A picture of the page once it says what is awaited and has had time for its pictures."""
    window.open(address)
    window.until(f"return document.body.innerText.includes({awaited!r})", 120)
    window.run(CLOSE_ASSISTANT)
    time.sleep(6)
    Image.fromarray(window.picture().astype("uint8")).quantize(96).save(path, optimize=True)


if __name__ == "__main__":
    if not (CHROMIUM and DRIVER):
        sys.exit(MISSING)
    main(Path(sys.argv[1]))
