"""Where ensembles lie: one protein's P0 and its replicas, bundled or in a folder laid out as ATLAS is."""

import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from moedsr.config_file import did_you_mean
from moedsr.errors import InputError
from moedsr.structures.input_digest import content_digest
from moedsr.structures.topologies import TOPOLOGIES, stem, suffix
from moedsr.structures.trajectories import TRAJECTORIES

MINI_ATLAS = "mini-atlas"
SPLITS = ("train", "val", "test")

_BUNDLED = Path(__file__).parent / "mini_atlas"


@dataclass(frozen=True)
class Ensemble:
    """One protein: P0 and the trajectories that start from it."""

    name: str
    topology: Path  # names the atoms; P0, unless its format has no positions
    trajectories: tuple[Path, ...]  # replica 1 first
    split: str | None = None

    def digest(self) -> str:
        """Hash of the name and of all of the files' content."""
        state = hashlib.sha256(self.name.encode())
        for path in (self.topology, *self.trajectories):
            state.update(f"|{content_digest(path)}".encode())
        return state.hexdigest()


def find_ensembles(source: str | Path, set_aside: dict[str, str] | None = None) -> list[Ensemble]:
    """All ensembles of a source, by name.

    A source is ``mini-atlas`` (bundled), a folder of entries, one entry, or an entry's structure file. An entry is
    ``{id}/{id}.pdb`` (or any other of TOPOLOGIES) with ``{id}_prod_R{n}_fit.xtc`` or ``{id}_R{n}.xtc`` (or any other
    of TRAJECTORIES; the fitted ones where both lie there) beside it, in one more such folder or not. A single
    trajectory may be called ``{id}.xtc``; a PDB file of several models is its own trajectory. Splits stand in
    ``splits.json`` beside the entries.

    Args:
        source: as above.
        set_aside: takes the names and reasons of entries without trajectories, with a gap or with other names;
            default: they raise.

    Raises:
        InputError: no such source, no entry in it, an entry without trajectories or with a gap, bad splits.
    """
    folder = _place(source)
    misnamed: list[Path] = []
    if folder.is_file():
        topologies = [folder]
        if suffix(folder) not in TOPOLOGIES:
            raise InputError(
                f"{folder}: is no structure file ({', '.join(TOPOLOGIES)}); give a folder of entries, one entry or its "
                "structure file"
            )
    elif folder.is_dir():
        topologies, misnamed = _entry_topologies(folder)
    else:
        raise _no_such_source(source)
    splits = read_splits(folder / "splits.json", [stem(path) for path in topologies]) if folder.is_dir() else {}
    found = []
    for path in topologies:
        try:
            found.append(Ensemble(stem(path), path, _replicas(path), splits.get(stem(path))))
        except InputError as error:
            if set_aside is None:
                raise
            set_aside[stem(path)] = str(error)
    if misnamed and set_aside is None:
        raise InputError(_expected(misnamed[0]))
    if set_aside is not None:
        set_aside |= {child.name: _expected(child) for child in misnamed}
    return found


def check_source(source: str | Path) -> None:
    """Whether a source is there at all, without a look into it.

    Raises:
        InputError: no such source; names the nearest.
    """
    if not _place(source).exists():
        raise _no_such_source(source)


def _place(source: str | Path) -> Path:
    # absolute: tasks on other workers have another working directory
    return _BUNDLED if str(source) == MINI_ATLAS else Path(source).absolute()


def _no_such_source(source: str | Path) -> InputError:
    parent = Path(source).parent
    beside = [str(parent / path.name) for path in sorted(parent.iterdir())] if parent.is_dir() else []
    hint = did_you_mean(str(source), [MINI_ATLAS, *beside])
    return InputError(f"{source}: no such folder{hint}; give `{MINI_ATLAS}` or a folder of entries {{id}}/{{id}}.pdb")


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


def _entry_topologies(folder: Path) -> tuple[list[Path], list[Path]]:
    """The entries' structure files, and the folders that hold structures or trajectories of other names."""
    if own := _topology(folder):
        return [own], []
    children = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    # unpacked archives sometimes keep their own top folder
    candidates = {child: _topology(child) or _topology(child / child.name) for child in children}
    found = [path for path in candidates.values() if path is not None]
    misnamed = [child for child, path in candidates.items() if path is None and _molecules(child)]
    if not found:
        nearest = next(iter(misnamed), folder)
        raise InputError(
            _expected(nearest)
            if _molecules(nearest)
            else f"{folder}: holds no entry; expected {{id}}/{{id}}.pdb with {{id}}_R1.xtc beside it"
        )
    return found, misnamed


def _molecules(folder: Path) -> list[str]:
    """Names of the structures and trajectories in a folder."""
    known = {*TOPOLOGIES, *TRAJECTORIES}
    return sorted(path.name for path in folder.iterdir() if path.is_file() and suffix(path) in known)


def _expected(folder: Path) -> str:
    held = _molecules(folder)
    shown = ", ".join(held[:3]) + (", …" if len(held) > 3 else "")
    return (
        f"{folder}: holds {shown}; files are found by their folder's name: {folder.name}.pdb with "
        f"{folder.name}_R1.xtc beside it"
    )


def _topology(folder: Path) -> Path | None:
    """The structure file named as its folder; of several formats the first in TOPOLOGIES."""
    names = (f"{folder.name}{ending}{packed}" for ending in TOPOLOGIES for packed in ("", ".gz"))
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _replicas(topology: Path) -> tuple[Path, ...]:
    name = re.escape(stem(topology))
    others = [path for path in topology.parent.iterdir() if path != topology and suffix(path) in TRAJECTORIES]
    for pattern in (rf"{name}_prod_R(\d+)_fit", rf"{name}_R(\d+)", rf"{name}_prod_R(\d+)"):
        matches = [(int(match[1]), path) for path in others if (match := re.fullmatch(pattern, stem(path)))]
        if matches:
            return _numbered(topology, matches)
    if own := sorted(path for path in others if stem(path) == stem(topology) and suffix(path) not in TOPOLOGIES):
        if len(own) > 1:
            raise InputError(
                f"{topology}: has two trajectories, {own[0].name} and {own[1].name}; call them _R1 and _R2"
            )
        return (own[0],)
    if suffix(topology) == ".pdb" and _has_models(topology):
        return (topology,)
    raise InputError(
        f"{topology}: no trajectory beside it; expected {stem(topology)}_R1.xtc or {stem(topology)}_prod_R1_fit.xtc "
        f"(also {', '.join(sorted(set(TRAJECTORIES) - {'.xtc'}))})"
    )


def _numbered(topology: Path, matches: list[tuple[int, Path]]) -> tuple[Path, ...]:
    found: dict[int, Path] = {}
    for number, path in sorted(matches):
        if number in found:
            raise InputError(f"{topology.parent}: {found[number].name} and {path.name} are both replica R{number}")
        found[number] = path
    if missing := sorted(set(range(1, max(found) + 1)) - set(found)):
        raise InputError(f"{topology.parent}: replica R{missing[0]} of {stem(topology)} is missing")
    return tuple(found.values())


def _has_models(path: Path) -> bool:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return sum(1 for _ in islice((line for line in file if line.startswith(b"MODEL ")), 2)) > 1
    except (OSError, EOFError, zlib.error):
        return False  # whoever reads the structure says what is wrong with it
