"""The command line: fast help, one line for an error, the right exit code."""

import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from moedsr.errors import InputError, JobError
from moedsr_platform import cli
from moedsr_platform.cli.predict import parse_times

OWN = ("evaluate", "report", "promote", "predict", "ui", "sync", "doctor")


def _command(error: Exception) -> click.Command:
    @click.command()
    def broken() -> None:
        raise error

    return broken


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch):
    """Makes `moedsr doctor` raise an error."""

    def install(error: Exception) -> None:
        monkeypatch.setattr(cli.CommandTable, "get_command", lambda self, ctx, name: _command(error))

    return install


def test_help_is_fast_and_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom moedsr_platform.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print([name for name in ('torch', 'ray', 'mlflow', 'numpy', 'pydantic') if name in sys.modules])"
    )
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "predict" in done.stdout
    assert time.perf_counter() - start < 5  # 0.1 s on a quiet machine; the imports above are what costs


@pytest.mark.parametrize("name", OWN)
def test_help_of_each_command_teaches_without_heavy_imports(name: str) -> None:
    code = (
        f"import sys\nfrom moedsr_platform.cli import main\ntry: main(['{name}', '--help'])\n"
        "except SystemExit: pass\nprint([name for name in ('torch', 'ray', 'mlflow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert len(done.stdout.split()) > 30


def test_an_unknown_command_names_the_nearest() -> None:
    result = CliRunner().invoke(cli.main, ["pedict"])
    assert result.exit_code == 2
    assert result.stderr.startswith("moedsr: unknown command `pedict` (did you mean `predict`?); commands: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (InputError("x is 3,\nbut must be 2"), 2, "moedsr: x is 3, but must be 2\n"),
        (JobError("trial 4 failed"), 1, "moedsr: trial 4 failed\n"),
        (KeyError("oh"), 1, "moedsr: KeyError: 'oh'; run again with `moedsr --debug …` for the traceback\n"),
    ],
)
def test_errors_are_one_line(broken, error: Exception, code: int, line: str) -> None:
    broken(error)
    result = CliRunner().invoke(cli.main, ["doctor"])
    assert (result.exit_code, result.stderr, result.stdout) == (code, line, "")


def test_debug_shows_the_traceback_and_keeps_the_exit_code(broken) -> None:
    broken(InputError("x"))
    result = CliRunner().invoke(cli.main, ["--debug", "doctor"])
    assert result.exit_code == 2
    assert "Traceback" in result.stderr


def test_wrong_usage_is_one_line() -> None:
    result = CliRunner().invoke(cli.main, ["predict", "a", "b", "--nonsense"])
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "--nonsense" in result.stderr


def test_version() -> None:
    assert CliRunner().invoke(cli.main, ["--version"]).stdout.startswith("moedsr ")


def test_times_include_both_ends() -> None:
    assert parse_times("-1:1:5") == [-1, -0.5, 0, 0.5, 1]
    assert parse_times("-1:1:21")[11] == 0.1
    assert parse_times("0.5") == [0.5]
    assert parse_times("-1,0.25,1") == [-1, 0.25, 1]
    assert parse_times("0:1:1") == [0]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("-1:1", "--times is '-1:1', but must be START:STOP:COUNT or a list"),
        ("a,b", "--times is 'a,b', but must be"),
        ("-1:1:0", "--times '-1:1:0' has no instant"),
        ("0:2:3", "--times '0:2:3': 2 is outside [-1, 1]"),
        ("nan", "--times 'nan': nan is outside [-1, 1]"),
    ],
)
def test_wrong_times(text: str, line: str) -> None:
    with pytest.raises(InputError) as raised:
        parse_times(text)
    assert str(raised.value).startswith(line)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["predict", "MODEL", "missing.pdb", "--out", "out"], "moedsr: missing.pdb: no such file\n"),
        (["predict", "MODEL", "/", "--out", "out"], "moedsr: /: is a folder, but must be a structure file\n"),
        (
            ["predict", "MODEL", __file__, "--out", __file__],
            f"moedsr: --out {__file__} is a file, but must be a folder\n",
        ),
        (
            ["predict", "nothing", __file__, "--out", "out"],
            "moedsr: no model 'nothing': MODEL is models:/NAME@ALIAS",
        ),
        (["predict", "models:/m@a", __file__, "--out", "out"], "moedsr: no tracking store at "),
        (["promote", "moe-dsr"], "moedsr: no tracking store at "),
        (["report", "sweep"], "moedsr: no tracking store at "),
        (["ui"], "moedsr: no tracking store at "),
        (["evaluate", "nothing"], "moedsr: no model 'nothing'"),
    ],
)
def test_wrong_input_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOEDSR_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    result = CliRunner().invoke(cli.main, arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith(line)
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_doctor_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    result = CliRunner().invoke(cli.main, ["doctor"])
    assert result.exit_code == 1
    assert "RAY_ADDRESS=127.0.0.1:1 does not answer" in result.stdout
    assert "unset it" in result.stdout
    assert "must be a SQLite file" in result.stdout
    assert result.stderr.startswith("moedsr: does not work here: ray, tracking store")
