"""A sweep from file to result table: Ray Tune over its trials, every run tracked, the best one registered."""

import contextlib
import shlex
import shutil
from typing import TYPE_CHECKING

from moedsr.errors import InputError
from moedsr.source_version import git_commit
from moedsr_platform.cluster import connection as cluster
from moedsr_platform.cluster.nodes import needs, offers
from moedsr_platform.display.board import Board
from moedsr_platform.display.progress import Display, display
from moedsr_platform.interruption import Interruption, watch_signals
from moedsr_platform.sweep.abandoned import dismiss, outlive
from moedsr_platform.sweep.finished import is_done, show_again
from moedsr_platform.sweep.folder import SweepFolder, new_folder, old_folder, unfinished
from moedsr_platform.sweep.lock import only_here
from moedsr_platform.sweep.request import Request, again
from moedsr_platform.sweep.session import Session
from moedsr_platform.sweep.setup import Setup, set_up
from moedsr_platform.sweep_file.checks import cautions
from moedsr_platform.sweep_file.schema import SweepFile
from moedsr_platform.tracking.run_names import DASHBOARD_TAG, TRAIN_RUNS_TAG
from moedsr_platform.tracking.store import StoreAwayError, results_folder, without_password
from moedsr_platform.trial.control import start_control
from moedsr_platform.trial.storage import child
from moedsr_platform.trial.trial import TrialSpec, uses_ray_train

if TYPE_CHECKING:
    import subprocess

    from moedsr_platform.tracking.tracker import Tracker


def run_sweep(request: Request, show: Display | None = None) -> Board:
    """Runs a sweep to its end, and says what came out.

    Raises:
        InputError: before anything runs: data, cluster or tracking store do not fit, or another process runs it.
        JobError: interrupted, or every trial failed.
    """
    sweep, show = request.sweep, show or display()
    folder = old_folder(sweep) if request.resume else None
    if folder is not None and is_done(folder, sweep):
        return show_again(folder, sweep, show)
    if folder is None and (left := unfinished(sweep)) is not None:
        show.say(f"begins anew: `{left.sweep_id}`, with the same settings, is unfinished; --resume goes on with that")

    def last_words() -> str:
        show.stop()
        kept = "what was prepared is kept" if folder is None else "finished trials are kept"
        return f"interrupted; {kept}. Go on with: {again(request, resume=folder is not None)}"

    fresh: SweepFolder | None = None
    try:
        with watch_signals(last_words) as interruption, contextlib.ExitStack() as held:
            watcher = None if folder is None else _take(folder, held)
            setup = set_up(request, folder, show)
            if folder is None or watcher is None:
                folder = fresh = new_folder(sweep, request.file)
                watcher = _take(folder, held)
            return _run(request, folder, setup, show, interruption, watcher, held)
    except InputError:  # such as a storage that cannot be used: nothing has begun
        if fresh is not None and not fresh.begun:
            shutil.rmtree(fresh.path, ignore_errors=True)
        raise


def _take(folder: SweepFolder, held: contextlib.ExitStack) -> "subprocess.Popen[bytes]":
    """The sweep is this process's now; who outlives it closes the runs, also those that an earlier one left."""
    held.enter_context(only_here(folder.lock, folder.sweep_id, cluster.job_id()))
    return outlive(folder.path)


def _run(
    request: Request,
    folder: SweepFolder,
    setup: Setup,
    show: Display,
    interruption: Interruption,
    watcher: "subprocess.Popen[bytes]",
    held: contextlib.ExitStack,
) -> Board:
    sweep, (data, store) = request.sweep, setup.made[0]
    base = sweep.base.model_copy(update={"data": data})
    tracker = _open_tracker(folder, setup.away, resumed=request.resume)
    held.callback(dismiss, watcher)  # once the tracker, which is closed first, has told all
    held.enter_context(tracker)
    spec = TrialSpec(
        base=base.model_dump_json(),
        store=str(store.path),
        storage=child(setup.checkpoints, folder.sweep_id) if setup.checkpoints else str(folder.trials),
        control=start_control(),
        dashboard=cluster.dashboard() is not None,
        objective=sweep.objective,
        resources=sweep.resources,
        train=request.train,
        stores={data.prepare.model_dump_json(): str(store.path) for data, store in setup.made},
    )
    board = Board.of(sweep)
    trials = f"{board.total} trials" if board.total > 1 else "one trial"
    show.say(
        f"sweep {folder.sweep_id}: {trials} of {board.steps} steps, "
        f"{min(setup.at_once, board.total)} at a time, each {needs(sweep.resources)}; cluster: {offers(setup.nodes)}"
        + (f", can grow to {offers(setup.grown)}" if setup.grown else "")
    )
    for line in cautions(sweep):
        show.say(f"note: {line}")
    show.say(f"results go to {results_folder()}, runs to {without_password(tracker.uri)}")
    if board.total > 1:
        show.say(
            f"the search as it goes on: optuna-dashboard {shlex.quote(without_password(sweep.storage or folder.study))}"
        )
    tags = _tags(sweep, folder, " ".join(store.fingerprint for _, store in setup.made))
    try:
        return Session(request, folder, spec, board, tracker, base, tags, setup.at_once, show, interruption).run()
    except BaseException:
        tracker.abandon()  # whatever ended it, the store shows nothing as running
        raise


def _open_tracker(folder: SweepFolder, away: bool, *, resumed: bool) -> "Tracker":
    """The server may go at any moment: a sweep that goes on does so without it."""
    from moedsr_platform.tracking.tracker import Tracker

    try:
        return Tracker.open(folder=folder.tracking, away=away)
    except StoreAwayError:
        if not resumed:
            raise
        return Tracker.open(folder=folder.tracking, away=True)


def _tags(sweep: SweepFile, folder: SweepFolder, fingerprint: str) -> dict[str, str]:
    tags = {
        "moedsr.sweep_id": folder.sweep_id,
        "moedsr.sampler": sweep.sampler,
        "moedsr.objective": sweep.objective.metric,
        "moedsr.mode": sweep.objective.mode,
        "moedsr.store_fingerprint": fingerprint,
        "moedsr.git_commit": git_commit() or "",
        "moedsr.ray_job_id": cluster.job_id() or "",
        DASHBOARD_TAG: cluster.dashboard() or "",
        TRAIN_RUNS_TAG: (cluster.train_runs() or "") if uses_ray_train(sweep.resources) else "",
    }
    return {key: value for key, value in tags.items() if value}
