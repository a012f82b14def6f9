"""Where a sweep keeps what it needs to go on: one folder, named by the sweep."""

import errno
import json
import re
import shutil
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from moedsr.errors import InputError
from moedsr.files import flush
from moedsr_platform.sweep_file.schema import SweepFile
from moedsr_platform.tracking.store import results_folder

LEFT_OPEN = ("trials", "resources", "register")
"""What may differ between a sweep and its resumption."""


@dataclass(frozen=True)
class SweepFolder:
    """``<results>/sweeps/<id>/``.

    sweep.json   the resolved sweep
    sweep.yaml   the file as it was
    log.jsonl    what happened, in order: a resumed sweep is made of it
    lock         held by the process that runs the sweep
    finished     made when all is done, and says what that was
    trials.json  the result table so far, to read
    optuna.db    the search, unless `storage` names another database
    tune/        Tune's own files, of no further use
    trials/      checkpoints and where it raised, one folder a trial; checkpoints may lie elsewhere
    best/        a copy of the best checkpoint, where those lie in an object store
    tracking/    what the tracking store has not got yet
    """

    path: Path

    @property
    def sweep_id(self) -> str:
        return self.path.name

    @property
    def tune(self) -> Path:
        return self.path / "tune"

    @property
    def trials(self) -> Path:
        return self.path / "trials"

    @property
    def best(self) -> Path:
        return self.path / "best"

    def traceback(self, trial_id: str) -> Path:
        """Where a trial raised."""
        return self.trials / trial_id / "traceback.txt"

    @property
    def tracking(self) -> Path:
        return self.path / "tracking"

    @property
    def study(self) -> str:
        """Address of the study's database."""
        return f"sqlite:///{self.path / 'optuna.db'}"

    @property
    def log(self) -> Path:
        return self.path / "log.jsonl"

    @property
    def lock(self) -> Path:
        return self.path / "lock"

    @property
    def finished(self) -> Path:
        return self.path / "finished"

    @property
    def begun(self) -> bool:
        """Whether there ever was a trial: the log's first line is the sweep itself."""
        return self.log.exists() and len(self.log.read_bytes().splitlines()) > 1

    @property
    def rows(self) -> Path:
        return self.path / "trials.json"


def new_folder(sweep: SweepFile, file: Path) -> SweepFolder:
    """A folder for a new sweep: its name, or the name with the next free number. It appears complete or not at all."""
    parent = results_folder() / "sweeps"
    made = parent / f".{uuid.uuid4().hex}"
    try:
        _sweep_out(parent)
        (made / "trials").mkdir(parents=True)
        shutil.copyfile(file, made / "sweep.yaml")
        _write(made / "sweep.json", _resolved(sweep))
        while True:
            taken = [number for number, _ in _folders(sweep.name)]
            place = parent / (f"{sweep.name}-{max(taken) + 1}" if taken else sweep.name)
            try:
                made.rename(place)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                continue  # another process was quicker
            return SweepFolder(place.absolute())
    except OSError as error:
        raise InputError(f"{parent}: cannot be written: {error.strerror}; choose another with --results") from None


def _sweep_out(parent: Path, seconds: float = 3600.0) -> None:
    """What a process left that was killed while it made a folder; another one may be making its own just now."""
    for left in parent.glob(".*"):
        if left.stat().st_mtime < time.time() - seconds:
            shutil.rmtree(left, ignore_errors=True)


def old_folder(sweep: SweepFile) -> SweepFolder:
    """The latest sweep of this name that is unfinished and has these settings, else the latest, to go on with.

    Raises:
        InputError: there is none, or it was started with other settings.
    """
    if left := unfinished(sweep):
        return left
    found = _folders(sweep.name)
    if not found:
        parent = results_folder() / "sweeps"
        names = [folder.sweep_id for folder in all_folders()]
        there = f"; there are {', '.join(names[:8])}" if names else "; --results names another folder"
        raise InputError(f"no sweep `{sweep.name}` to resume under {parent}: it is begun without --resume{there}")
    folder = SweepFolder(max(found)[1].absolute())
    if changed := _changed(folder, sweep):
        name, old, new = changed
        raise InputError(
            f"sweep `{folder.sweep_id}` was started with {name} = {old}, the file now has {new}: change it back, or "
            f"start anew without --resume (what may change is {', '.join(LEFT_OPEN)})"
        )
    return folder


def unfinished(sweep: SweepFile) -> SweepFolder | None:
    """The latest sweep of this name that can go on: it has not finished, and began with the same settings."""
    for _, path in sorted(_folders(sweep.name), reverse=True):
        folder = SweepFolder(path.absolute())
        try:
            if not folder.finished.exists() and _changed(folder, sweep) is None:
                return folder
        except InputError:  # nothing that could be gone on with
            continue
    return None


def _changed(folder: SweepFolder, sweep: SweepFile) -> tuple[str, object, object] | None:
    """The first key in which a sweep differs from the file, with both values; of what may not change."""
    try:
        before = json.loads((folder.path / "sweep.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{folder.path}: holds no readable sweep.json ({error})") from None
    now = _resolved(sweep)
    for key in sorted(before.keys() | now.keys()):
        if key not in LEFT_OPEN and before.get(key) != now.get(key):
            return _difference(key, before.get(key), now.get(key))
    return None


def all_folders() -> list[SweepFolder]:
    """Every sweep and run of the results folder, by name."""
    parent = results_folder() / "sweeps"
    found = sorted(parent.glob("[!.]*")) if parent.is_dir() else []  # not what a killed process had half made
    return [SweepFolder(path) for path in found if path.is_dir()]


def _folders(name: str) -> list[tuple[int, Path]]:
    """Sweeps of this name with their numbers, the first being 1."""
    parent = results_folder() / "sweeps"
    if not parent.is_dir():
        return []
    pattern = re.compile(rf"{re.escape(name)}(?:-(\d+))?")
    matches = ((pattern.fullmatch(path.name), path) for path in parent.iterdir() if path.is_dir())
    return [(int(match[1] or 1), path) for match, path in matches if match]


def _resolved(sweep: SweepFile) -> dict[str, object]:
    return json.loads(sweep.model_dump_json(by_alias=True))


def _difference(key: str, old: object, new: object) -> tuple[str, object, object]:
    """The first dotted key in which two values differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        for child in sorted(old.keys() | new.keys()):
            if old.get(child) != new.get(child):
                return _difference(f"{key}.{child}", old.get(child), new.get(child))
    return key, json.dumps(old), json.dumps(new)


def _write(path: Path, value: object) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    flush(temporary)
    temporary.replace(path)
