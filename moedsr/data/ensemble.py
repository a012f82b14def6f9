"""Where ensembles lie: one protein's P0 and its replicas, bundled or in a folder laid out as ATLAS is."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from moedsr.config_file import did_you_mean
from moedsr.errors import InputError

MINI_ATLAS = "mini-atlas"
SPLITS = ("train", "val", "test")

_BUNDLED = Path(__file__).parent / "mini_atlas"
_SAMPLED_BYTES = 1 << 16


@dataclass(frozen=True)
class Ensemble:
    """One protein: P0 and the trajectories that start from it."""

    name: str
    topology: Path  # PDB file, P0
    trajectories: tuple[Path, ...]  # XTC files, replica 1 first
    split: str | None = None

    def digest(self) -> str:
        """Hash of the files' sizes and first and last 64 KiB; whole archives are too long to read twice."""
        state = hashlib.sha256(self.name.encode())
        for path in (self.topology, *self.trajectories):
            with path.open("rb") as file:
                size = path.stat().st_size
                state.update(f"|{size}|".encode())
                state.update(file.read(_SAMPLED_BYTES))
                file.seek(max(0, size - _SAMPLED_BYTES))
                state.update(file.read(_SAMPLED_BYTES))
        return state.hexdigest()


def find_ensembles(source: str | Path) -> list[Ensemble]:
    """All ensembles of a source, by name.

    A source is ``mini-atlas`` (bundled), a folder of entries, one entry, or an entry's PDB file. An entry is
    ``{id}/{id}.pdb`` with ``{id}_prod_R{n}_fit.xtc`` or ``{id}_R{n}.xtc`` beside it (the fitted ones where
    both lie there), in one more such folder or not. Splits stand in ``splits.json`` beside the entries.

    Raises:
        InputError: no such source, no entry in it, an entry without trajectories or with a gap, bad splits.
    """
    # absolute: tasks on other workers have another working directory
    folder = _BUNDLED if str(source) == MINI_ATLAS else Path(source).absolute()
    if folder.is_file():
        topologies = [folder]
        if folder.suffix != ".pdb":
            raise InputError(f"{folder}: is no PDB file; give a folder of entries, one entry or its .pdb file")
    elif folder.is_dir():
        topologies = _entry_topologies(folder)
    else:
        hint = did_you_mean(str(source), [MINI_ATLAS])
        raise InputError(
            f"{source}: no such folder{hint}; give `{MINI_ATLAS}` or a folder of entries {{id}}/{{id}}.pdb"
        )
    splits = read_splits(folder / "splits.json", [path.stem for path in topologies]) if folder.is_dir() else {}
    return [Ensemble(path.stem, path, _replicas(path), splits.get(path.stem)) for path in topologies]


def read_splits(path: Path, names: list[str]) -> Mapping[str, str]:
    """Protein name to split, from a JSON file ``{"train": [names…], "val": …, "test": …}``; empty without it.

    Raises:
        InputError: not such a file, an unknown split or protein, a protein in two splits.
    """
    if not path.exists():
        return {}
    try:
        lists = json.loads(path.read_text(encoding="utf-8"))
        pairs = [(str(name), str(split)) for split, members in lists.items() for name in members]
    except (ValueError, AttributeError, TypeError) as error:
        raise InputError(f"{path}: must be a JSON mapping of split to protein names ({error})") from error
    found: dict[str, str] = {}
    for name, split in pairs:
        if split not in SPLITS:
            raise InputError(
                f"{path}: unknown split `{split}`{did_you_mean(split, SPLITS)}; allowed: {', '.join(SPLITS)}"
            )
        if name not in names:
            raise InputError(f"{path}: {split} names the unknown protein `{name}`{did_you_mean(name, names)}")
        if name in found:
            raise InputError(f"{path}: `{name}` stands in {found[name]} and in {split}, but must stand in one split")
        found[name] = split
    return found


def _entry_topologies(folder: Path) -> list[Path]:
    own = folder / f"{folder.name}.pdb"
    if own.exists():
        return [own]
    children = sorted(path for path in folder.iterdir() if path.is_dir())
    # unpacked archives sometimes keep their own top folder
    candidates = [
        next(
            (path for path in (child / f"{child.name}.pdb", child / child.name / f"{child.name}.pdb") if path.exists()),
            None,
        )
        for child in children
    ]
    found = [path for path in candidates if path is not None]
    if not found:
        raise InputError(f"{folder}: holds no entry; expected {{id}}/{{id}}.pdb with {{id}}_R1.xtc beside it")
    return found


def _replicas(topology: Path) -> tuple[Path, ...]:
    name = re.escape(topology.stem)
    for pattern in (rf"{name}_prod_R(\d+)_fit\.xtc", rf"{name}_R(\d+)\.xtc"):
        found = {
            int(match[1]): path for path in topology.parent.iterdir() if (match := re.fullmatch(pattern, path.name))
        }
        if found:
            if missing := sorted(set(range(1, max(found) + 1)) - set(found)):
                raise InputError(f"{topology.parent}: replica R{missing[0]} of {topology.stem} is missing")
            return tuple(found[number] for number in sorted(found))
    raise InputError(
        f"{topology}: no trajectory beside it; expected {topology.stem}_R1.xtc or {topology.stem}_prod_R1_fit.xtc"
    )
