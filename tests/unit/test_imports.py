"""The science never imports the platform."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLATFORM_ONLY = ("ray", "mlflow", "optuna", "moedsr_platform")

IMPORT_ALL = """
import importlib, pkgutil, sys
import moedsr
for module in pkgutil.walk_packages(moedsr.__path__, "moedsr."):
    importlib.import_module(module.name)
print(*sorted({name.split(".")[0] for name in sys.modules}))
"""


def run(*command: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, input=stdin, capture_output=True, text=True, check=False)


def test_every_module_of_the_science_loads_without_the_platform() -> None:
    loaded = run(sys.executable, "-c", IMPORT_ALL)
    assert loaded.returncode == 0, loaded.stderr
    assert "moedsr" in loaded.stdout.split()
    assert not set(PLATFORM_ONLY) & set(loaded.stdout.split())


def test_importing_the_package_is_light() -> None:
    loaded = run(sys.executable, "-c", "import moedsr, sys; print(*sys.modules)")
    assert not {"torch", "mdtraj", "skimage", *PLATFORM_ONLY} & set(loaded.stdout.split())


@pytest.mark.parametrize("name", PLATFORM_ONLY)
@pytest.mark.parametrize("line", ["import {}", "from {} import anything", "def f():\n    import {}.deep"])
def test_the_linter_refuses_a_platform_import_in_the_science(name: str, line: str) -> None:
    found = ruff(line.format(name), where="moedsr/models/planted.py")
    assert found.returncode == 1
    assert f"`{name}`" in found.stdout or f"`{name}." in found.stdout
    assert "TID251" in found.stdout


def test_the_linter_allows_them_in_the_platform() -> None:
    found = ruff("import ray", where="platform/moedsr_platform/planted.py")
    assert found.returncode == 0, found.stdout


def ruff(code: str, *, where: str) -> subprocess.CompletedProcess[str]:
    command = ("check", "--select", "TID251", "--no-cache", "--output-format", "concise")
    return run(sys.executable, "-m", "ruff", *command, "--stdin-filename", where, "-", stdin=code)
