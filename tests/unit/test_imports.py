"""The science never imports the platform, and no module imports itself by way of others."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLATFORM_ONLY = ("ray", "mlflow", "optuna", "moedsr_platform")

# The rooms of the science, lowest first; the other loose files lie below all of them.
ORDER = (
    "structures",
    "geometry",
    "store",
    "batches",
    "models",
    "training",
    "inference",
    "evaluation",
    "pictures",
    "train",
)
UPWARD = {("moedsr.structures.trajectories.xtc_coordinates", "moedsr.geometry.compiled")}

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


@pytest.mark.parametrize("package", ["moedsr", "platform/moedsr_platform"])
def test_modules_lie_above_each_other(package: str) -> None:
    """Imports within functions and for type checkers count as well: what they hide is a file in the wrong place."""
    folder = ROOT / package
    files = {_module(path.relative_to(folder.parent)): path for path in folder.rglob("*.py")}
    assert len(files) > 50
    above = {name: _imported(path.read_text(encoding="utf-8"), files) for name, path in files.items()}
    graphlib.TopologicalSorter(above).prepare()  # raises CycleError, which names them


@pytest.mark.parametrize("package", ["moedsr", "platform/moedsr_platform"])
def test_folders_lie_above_each_other(package: str) -> None:
    folder = ROOT / package
    files = {_module(path.relative_to(folder.parent)): path for path in folder.rglob("*.py")}
    rooms: dict[str, set[str]] = {}
    for name, path in files.items():
        below = {_room(other) for other in _imported(path.read_text(encoding="utf-8"), files)}
        rooms.setdefault(_room(name), set()).update(below - {_room(name), folder.name})
    assert len(rooms) > 10
    graphlib.TopologicalSorter(rooms).prepare()


def test_rooms_of_the_science_import_only_downwards() -> None:
    folder = ROOT / "moedsr"
    files = {_module(path.relative_to(ROOT)): path for path in folder.rglob("*.py")}
    assert {path.parent.name for path in folder.glob("*/__init__.py")} == set(ORDER) - {"train"}
    upward = {
        (name, other)
        for name, path in files.items()
        for other in _imported(path.read_text(encoding="utf-8"), files)
        if _height(other) > _height(name)
    }
    assert not upward - UPWARD


def test_few_loose_files_lie_above_the_rooms() -> None:
    assert len(list((ROOT / "moedsr").glob("*.py"))) <= 8


def _height(module: str) -> int:
    room = module.split(".")[1:2]
    return ORDER.index(room[0]) if room and room[0] in ORDER else -1


def _room(module: str) -> str:
    return ".".join(module.split(".")[:2])


def test_a_cycle_is_found() -> None:
    files = dict.fromkeys(("p.a", "p.b"), Path())
    above = {"p.a": _imported("def f():\n    from p.b import x", files), "p.b": _imported("from p import a", files)}
    with pytest.raises(graphlib.CycleError):
        graphlib.TopologicalSorter(above).prepare()


def _module(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def _imported(text: str, modules: dict[str, Path]) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            parts = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {part for part in parts if part in modules} or {node.module}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & set(modules)


def ruff(code: str, *, where: str) -> subprocess.CompletedProcess[str]:
    command = ("check", "--select", "TID251", "--no-cache", "--output-format", "concise")
    return run(sys.executable, "-m", "ruff", *command, "--stdin-filename", where, "-", stdin=code)
