"""Signals that ask for the end."""

import os
import signal

import pytest

from moedsr_platform import interruption as module
from moedsr_platform.interruption import watch_signals


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_the_first_signal_asks_and_the_second_ends(name: str) -> None:
    number = getattr(signal, name)
    before = signal.signal(number, signal.SIG_DFL)  # whoever started the tests may have had it ignored
    try:
        _ask_twice(name, number)
    finally:
        signal.signal(number, before)


def _ask_twice(name: str, number: int) -> None:
    with watch_signals() as interruption:
        interruption.patient = True
        os.kill(os.getpid(), number)
        assert interruption.asked == name
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)


def test_while_nobody_sees_to_the_end_the_first_one_ends() -> None:
    with watch_signals() as interruption:
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        assert interruption.asked == "SIGTERM"


def test_the_handlers_that_were_there_come_back() -> None:
    before = [signal.getsignal(number) for number in module.SIGNALS]
    with watch_signals():
        assert [signal.getsignal(number) for number in module.SIGNALS] != before
    assert [signal.getsignal(number) for number in module.SIGNALS] == before


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with watch_signals() as interruption:
            os.kill(os.getpid(), signal.SIGHUP)
            assert interruption.asked is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_trials_have_their_time_to_save_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    with watch_signals() as interruption:
        interruption.patient = True
        assert not interruption.overdue
        os.kill(os.getpid(), signal.SIGTERM)
        assert not interruption.overdue
        monkeypatch.setattr(module, "GRACE_SECONDS", -1)
        assert interruption.overdue
