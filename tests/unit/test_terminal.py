"""Tables on terminals of any width."""

import pytest

from moedsr_platform.display.tables import Table
from moedsr_platform.display.terminal import show

COLUMNS = ("trial", "latent_learning_rate", "load_balance_weight", "IoU", "gap closed")
ROWS = (("t-001", "0.0045", "0.003", "0.71", "0.2"), ("t-002", "0.01", "0.02", "0.7", "0.1"))
TABLE = Table("A sweep", COLUMNS, ROWS)


@pytest.mark.parametrize("width", [30, 50, 200])
def test_no_word_and_no_number_is_broken(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("moedsr_platform.display.terminal.PIPED_WIDTH", width)
    show(TABLE)
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= width
    words = shown.split()
    assert {"0.0045", "0.003", "0.71", "0.02", "t-001", "t-002"} <= set(words)
    assert "latent_learning_rate" in words if width == 200 else "learning_" in words
    # what does not fit beside the rest is in a block of its own, with the name of each trial
    assert words.count("t-001") == {30: 2, 50: 1, 200: 1}[width]
    assert words.count("sweep") == 1
