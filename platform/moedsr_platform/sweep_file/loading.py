"""Sweep and run files read and checked: every problem is one line with its place in the file."""

from pathlib import Path

from moedsr.config import Config
from moedsr.config_file import YamlSource
from moedsr.errors import InputError
from moedsr_platform.sweep_file.checks import check_domains, check_search
from moedsr_platform.sweep_file.schema import RunFile, SweepFile


def load_sweep(path: Path) -> SweepFile:
    """The sweep of a YAML file, checked as far as can be without data and cluster.

    Raises:
        InputError: the first problem, with file and line.
    """
    source = YamlSource(path)
    if "base" not in source.data and "data" in source.data:
        raise InputError(f"{source.where(('data',))}: this is a run file, not a sweep: use `moedsr train {path}`")
    source.data.setdefault("name", path.stem)
    search = source.data.get("search")
    if isinstance(search, dict):
        check_domains(source, search)
    sweep = source.build(SweepFile)
    check_search(source, sweep)
    return sweep


def load_run(path: Path) -> SweepFile:
    """A run file as the sweep of one trial that it is.

    Raises:
        InputError: the first problem, with file and line.
    """
    source = YamlSource(path)
    if "base" in source.data:
        raise InputError(f"{source.where(('base',))}: this is a sweep file, not a run: use `moedsr sweep {path}`")
    source.data.setdefault("name", path.stem)
    run = source.build(RunFile)
    base = Config(**{name: getattr(run, name) for name in Config.model_fields})
    return SweepFile(
        name=run.name, base=base, resources=run.resources, checkpoints=run.checkpoints, register=run.register_as
    )
