"""``.ci/run`` passes when lint and both halves of the suite pass, and fails when any of them fails."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

CI_RUN = Path(__file__).parents[2] / ".ci" / "run"


def run_with_make(folder: Path, failing: str) -> subprocess.CompletedProcess[str]:
    """``.ci/run`` where ``make`` prints its arguments and fails if ``failing`` is among them."""
    (folder / ".ci").mkdir()
    shutil.copy(CI_RUN, folder / ".ci" / "run")
    programs = folder / "bin"
    programs.mkdir()
    stand_ins = {
        "make": f'echo "$*"; case "$*" in *{failing}*) exit 2;; esac',
        "mmseqs": "",
        "chromium": "",
        "chromedriver": "",
    }
    for name, body in stand_ins.items():
        (programs / name).write_text(f"#!/bin/sh\n{body}\n")
        (programs / name).chmod(0o755)
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", folder / ".ci" / "run"],
        env={**os.environ, "PATH": path, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("failing", "passes"),
    [("nothing", True), ("lint", False), ("tests/unit", False), ("tests/integration", False)],
)
def test_it_fails_when_a_part_fails(tmp_path: Path, failing: str, passes: bool) -> None:
    done = run_with_make(tmp_path, failing)

    assert (done.returncode == 0) is passes, done.stderr
    if failing != "lint":
        assert "tests/unit" in done.stdout
        assert "tests/integration" in done.stdout
    assert not list(tmp_path.glob("tmp.*"))
