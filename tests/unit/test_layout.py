"""The layout that everything else relies on, and the README that describes it."""

import ast
import re
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {"moedsr", "platform", "sweeps", "cluster", "tests", ".ci", ".github"}
FILES = {
    "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "pyproject.toml",
    "constraints.txt", ".gitignore", ".gitattributes", ".python-version", ".dockerignore",
}  # fmt: skip
NAMELESS = {"utils.py", "util.py", "common.py", "helpers.py", "misc.py"}


def tracked() -> list[Path]:
    """Files that git knows or would add; all files where the project is no git checkout."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        return [Path(line) for line in listed.stdout.splitlines() if (ROOT / line).exists()]
    hidden = {".git", ".venv", "results"}
    return [path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file() and not hidden & set(path.parts)]


def test_no_other_top_level_entry() -> None:
    paths = tracked()
    assert {path.parts[0] for path in paths if len(path.parts) > 1} <= FOLDERS
    assert {path.name for path in paths if len(path.parts) == 1} <= FILES


def test_platform_is_a_plain_folder() -> None:
    """As a package it would shadow the standard library's wherever the root comes first on sys.path."""
    assert not (ROOT / "platform" / "__init__.py").exists()
    code = "import platform, torch; print(platform.python_implementation())"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert loaded.returncode == 0, loaded.stderr


def test_sweeps_and_cluster_hold_no_python_and_tests_no_package() -> None:
    paths = tracked()
    assert not [path for path in paths if path.parts[0] in {"sweeps", "cluster"} and path.suffix == ".py"]
    assert not [path for path in paths if path.parts[0] == "tests" and path.name == "__init__.py"]


def test_no_file_without_a_concept() -> None:
    assert not [path for path in tracked() if path.name in NAMELESS]


def test_no_file_is_large() -> None:
    large = [path for path in tracked() if (ROOT / path).stat().st_size > 2 * 2**20]
    assert not large


@pytest.mark.parametrize("folder", ["moedsr", "platform", "sweeps", "cluster"])
def test_each_folder_explains_itself(folder: str) -> None:
    assert (ROOT / folder / "README.md").is_file()


def test_each_unit_test_mirrors_a_module() -> None:
    """test_gate.py mirrors gate.py or the package gate/, test_cli_ui.py mirrors cli/ui.py."""
    modules = [path for path in tracked() if path.parts[0] in {"moedsr", "platform"}]
    names = {name for path in modules for name in (path.stem, path.parent.name, f"{path.parent.name}_{path.stem}")}
    guards = {"ci_run", "layout", "imports", "cluster_yaml", "on_gpu", "sweeps_yaml"}
    tests = {path.stem.removeprefix("test_") for path in tracked() if path.match("tests/unit/test_*.py")}
    assert sorted(tests - guards - names) == []


def tree_of(readme: Path) -> list[Path]:
    """Paths that the README's tree names; what is indented belongs to the folder above it."""
    block = re.search(r"<!-- tree -->\n```text\n(.*?)```", readme.read_text(encoding="utf-8"), re.DOTALL)
    assert block, f"{readme} has no tree"
    paths: list[Path] = []
    parents: list[tuple[int, Path]] = []
    for line in filter(str.strip, block[1].splitlines()):
        indent = len(line) - len(line.lstrip())
        names = re.split(r"\s{2,}", line.strip())[0]
        parents = [(depth, path) for depth, path in parents if depth < indent]
        parent = parents[-1][1] if parents else Path()
        for name in names.split():
            paths.append(parent / name)
            if name.endswith("/"):
                parents.append((indent, parent / name))
    return paths


def test_every_name_of_the_readme_tree_exists() -> None:
    named = tree_of(ROOT / "README.md")
    assert len(named) > 20
    assert [str(path) for path in named if not (ROOT / path).exists()] == []


def test_every_package_is_in_the_readme_tree_with_its_own_first_line() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(tree_of(ROOT / "README.md"))
    markers = [path for path in tracked() if path.parts[0] in {"moedsr", "platform"} and path.name == "__init__.py"]
    packages = {path.parent for path in markers} - {Path("moedsr"), Path("platform/moedsr_platform")}
    assert sorted(packages - named) == []
    lines = {path: first_line(path / "__init__.py") for path in packages}
    assert [f"{path}: {line}" for path, line in sorted(lines.items()) if line not in text] == []


def first_line(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse((ROOT / path).read_text(encoding="utf-8")))
    assert docstring, f"{path} has no docstring"
    return docstring.splitlines()[0].rstrip(".")


def test_the_tree_is_read_with_its_folders(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    tree = "a/       folder\n  b.py   file\n  c/     deeper\n    d.py e.py  two\nf.py     file\n"
    readme.write_text(f"<!-- tree -->\n```text\n{tree}```\n")
    assert [str(path) for path in tree_of(readme)] == ["a", "a/b.py", "a/c", "a/c/d.py", "a/c/e.py", "f.py"]


def test_constraints_pin_every_dependency_to_a_version_that_it_allows() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    for text in [*project["dependencies"], *chain(*project["optional-dependencies"].values())]:
        wanted = Requirement(text)
        assert pins[canonicalize_name(wanted.name)] in wanted.specifier, text
    assert not [name for name, version in pins.items() if "+" in version]
