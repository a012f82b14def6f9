"""The command that goes on with a sweep is one that takes its file."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from moedsr.errors import JobError
from moedsr_platform.cli import main
from moedsr_platform.sweep import sweep as sweep_module
from moedsr_platform.sweep.request import Request, again

RUN = "data: {source: mini-atlas}\n"
SWEEP = "base:\n  data: {source: mini-atlas}\nseeds: 3\nsampler: grid\n"


@pytest.mark.parametrize(("command", "text"), [("train", RUN), ("sweep", SWEEP)])
def test_what_searches_nothing_is_gone_on_with_by_its_own_command(
    command: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(request: Request) -> None:
        raise JobError(again(request, resume=True))

    monkeypatch.setattr(sweep_module, "run_sweep", interrupted)
    file = tmp_path / "my file.yaml"
    file.write_text(f"name: s\n{text}")
    result = CliRunner().invoke(main, [command, str(file), "--name", "t"])
    assert result.exit_code == 1
    assert result.stderr == f"moedsr: moedsr {command} '{file}' --name t --resume\n"
