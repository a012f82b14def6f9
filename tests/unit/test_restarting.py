"""A command that is started again when it is killed, and only then."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from moedsr_platform import restarting

FAKE = """
import os, signal, sys, time
from pathlib import Path
log = Path(os.environ["RESTART_LOG"])
count = len(log.read_text()) if log.exists() else 0
log.write_text("x" * (count + 1))
what = sys.argv[1]
if what == "killed" and count < 2 or what == "always":
    os.kill(os.getpid(), signal.SIGKILL)
if what == "wait":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    print("ready", flush=True)
    time.sleep(60)
sys.exit(2 if what == "wrong" else 0)
"""


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """How often the command ran: a fake one under our package's name."""
    package = tmp_path / "moedsr_platform"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(FAKE)
    source = Path(restarting.__file__).read_text()
    (package / "restarting.py").write_text(source)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("RESTART_LOG", str(tmp_path / "log"))
    return tmp_path / "log"


def command(what: str) -> list[str]:
    return [sys.executable, "-m", "moedsr_platform.restarting", what]


@pytest.mark.parametrize(
    ("what", "times", "code"),
    [("fine", 1, 0), ("wrong", 1, 2), ("killed", 3, 0), ("always", 1 + restarting.RESTARTS, 128 + signal.SIGKILL)],
)
def test_only_what_was_killed_is_started_again(what: str, times: int, code: int, log: Path) -> None:
    done = subprocess.run(command(what), capture_output=True, text=True, timeout=60)
    assert (done.returncode, len(log.read_text())) == (code, times)
    assert done.stderr.count("was ended by SIGKILL; it is started again and goes on") == times - 1


def test_a_signal_that_asks_for_the_end_is_passed_on(log: Path) -> None:
    process = subprocess.Popen(command("wait"), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 1
    assert len(log.read_text()) == 1


def test_the_command_ends_with_whoever_restarts_it(log: Path) -> None:
    process = subprocess.Popen(command("wait"), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.kill()
    process.wait()
    deadline = time.monotonic() + 30
    while process.stdout.read(1):  # until the command has closed it, too
        assert time.monotonic() < deadline
