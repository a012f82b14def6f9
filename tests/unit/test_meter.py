"""Amount, rate and time left of long work."""

import pytest

from moedsr_platform.display import meter as meters
from moedsr_platform.display.meter import duration, meter


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(meters, "time", made)
    return made


def test_rate_and_time_left_are_those_of_the_work_done_now(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with meter("p", 100, lambda rate: f"{rate:.1f}/s") as shown:
        clock.now += 5
        shown.skip(50)
        shown.begin()
        shown.skip(10)
        clock.now += 5
        shown.advance(10, "note")
    assert capsys.readouterr().err == "p 70%, note, 2.0/s, 15 s left\n"


def test_lines_come_now_and_then_and_at_the_end(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with meter("p", 100, str) as shown:
        for _ in range(100):
            clock.now += 1
            shown.advance(1)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 5
    assert lines[0].startswith("p 1%")
    assert lines[-1].startswith("p 100%")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (119, "119 s"), (121, "2 min"), (9000, "2 h"), (400_000, "5 d")]
)
def test_durations_are_said_in_the_unit_that_suits_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text
