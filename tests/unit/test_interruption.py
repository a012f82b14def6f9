"""Signals: asked once a sweep saves itself, asked twice it ends, and before or after it ends at once, with one line."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from moedsr.errors import InterruptedJobError, JobError
from moedsr_platform import interruption as module
from moedsr_platform.interruption import watch_signals


class EndedError(Exception):
    """In place of the end of the process; holds its exit code."""


@pytest.fixture(autouse=True)
def as_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whoever started the tests may have had signals ignored; here none of them ends the tests."""

    def end(code: int) -> None:
        raise EndedError(code)

    monkeypatch.setattr(os, "_exit", end)
    before = {number: signal.signal(number, signal.SIG_DFL) for number in module.SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_the_first_signal_asks_and_the_second_ends(
    name: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    number = getattr(signal, name)
    with watch_signals(lambda: "go on so") as interruption:
        interruption.patient = True
        os.kill(os.getpid(), number)
        assert interruption.asked == name
        os.kill(os.getpid(), number)  # so soon that it is the first one, passed on by another process
        assert capfd.readouterr().err == ""
        monkeypatch.setattr(module, "SAME_SECONDS", 0.0)
        with pytest.raises(EndedError, match=str(128 + number)):
            os.kill(os.getpid(), number)
    assert capfd.readouterr().err == "moedsr: go on so\n"


def test_while_nobody_sees_to_the_end_the_first_one_ends(capfd: pytest.CaptureFixture[str]) -> None:
    with watch_signals() as interruption:
        with pytest.raises(EndedError, match=str(128 + signal.SIGTERM)):
            os.kill(os.getpid(), signal.SIGTERM)
        assert interruption.asked == "SIGTERM"
    assert capfd.readouterr().err == "moedsr: interrupted\n"


def test_who_hears_late_is_answered_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    with watch_signals() as interruption:
        interruption.patient, interruption.reply = True, "the end is being written"
        os.kill(os.getpid(), signal.SIGTERM)
    assert capfd.readouterr().err == "moedsr: SIGTERM: the end is being written\n"


def test_only_a_signal_has_an_exit_code_of_its_own() -> None:
    with watch_signals() as interruption:
        interruption.ask("the disk is full")
        assert type(interruption.error("line")) is JobError
    with watch_signals() as interruption:
        interruption.patient = True
        os.kill(os.getpid(), signal.SIGHUP)
        error = interruption.error("line")
    assert isinstance(error, InterruptedJobError)
    assert (str(error), error.number) == ("line", signal.SIGHUP)


def test_the_handlers_that_were_there_come_back() -> None:
    before = [signal.getsignal(number) for number in module.SIGNALS]
    with watch_signals():
        assert [signal.getsignal(number) for number in module.SIGNALS] != before
    assert [signal.getsignal(number) for number in module.SIGNALS] == before


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    """As under nohup."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with watch_signals() as interruption:
        os.kill(os.getpid(), signal.SIGHUP)
        assert interruption.asked is None


def test_trials_have_their_time_to_save_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    with watch_signals() as interruption:
        interruption.patient = True
        assert not interruption.overdue
        os.kill(os.getpid(), signal.SIGTERM)
        assert not interruption.overdue
        monkeypatch.setattr(module, "GRACE_SECONDS", -1)
        assert interruption.overdue


COMMAND = """
import os, signal, sys
when, number = sys.argv.pop(1), int(sys.argv.pop(1))
for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(each, signal.SIG_DFL)  # whoever started the tests may have had it ignored
import click
from moedsr_platform import __main__ as process, interruption

class Importing:
    def find_spec(self, name, path=None, target=None):
        if name == when: os.kill(os.getpid(), number)

@click.command()
def strike():
    try:
        os.kill(os.getpid(), number)
    finally:
        print("cleared away")

@click.command()
def finished():
    print("done")

sys.meta_path.insert(0, Importing())
if when in ("strike", "finished"):
    from moedsr_platform import cli
    cli.COMMANDS[when] = cli.Entry("__main__:" + when, "")
    sys.argv[1] = when
if when == "finished":
    import atexit
    atexit.register(os.kill, os.getpid(), number)
process.run()
"""


@pytest.mark.parametrize("number", module.SIGNALS)
@pytest.mark.parametrize(
    ("when", "said", "line"),
    [
        ("moedsr_platform.cli", "", "moedsr: interrupted\n"),  # while modules are loaded
        ("moedsr_platform.cli.doctor", "", "moedsr: interrupted\n"),
        ("strike", "cleared away\n", "moedsr: interrupted\n"),  # in a command that has files to clear away
        ("finished", "done\n", ""),  # while the interpreter ends: nothing is left to be interrupted
    ],
)
def test_a_command_says_one_line_at_any_moment(when: str, said: str, line: str, number: int) -> None:
    done = subprocess.run([sys.executable, "-c", COMMAND, when, str(number), "doctor"], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (said, line)
    assert done.returncode == (128 + number if line else 0)
