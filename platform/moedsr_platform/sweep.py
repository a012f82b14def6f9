"""A sweep from file to result table: Ray Tune over its trials, every run tracked, the best one registered."""

import contextlib
import os
import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moedsr.config import Config, DataConfig
from moedsr.data.store import SurfaceStore
from moedsr.errors import JobError
from moedsr.source_version import git_commit
from moedsr_platform import cluster
from moedsr_platform.abandoned import dismiss, outlive
from moedsr_platform.board import Board
from moedsr_platform.cluster_watch import watch_cluster
from moedsr_platform.growth import growth
from moedsr_platform.interruption import Interruption, watch_signals
from moedsr_platform.nodes import Node, concurrency, needs, offers
from moedsr_platform.preparation import ensure_store
from moedsr_platform.progress import Display, display, result_text
from moedsr_platform.search_space import data_settings
from moedsr_platform.sweep_file import SweepFile
from moedsr_platform.sweep_folder import SweepFolder, new_folder, old_folder
from moedsr_platform.sweep_lock import only_here
from moedsr_platform.sweep_log import SweepLog, replay
from moedsr_platform.sweep_page import sweep_note
from moedsr_platform.tracking_store import (
    StoreAwayError,
    check_store,
    in_uploaded_folder,
    results_folder,
    store_uri,
    without_password,
)
from moedsr_platform.trial import TrialSpec, trainable
from moedsr_platform.worker import TrainFunction

if TYPE_CHECKING:
    import subprocess

    from ray.tune import Tuner
    from ray.tune.schedulers import TrialScheduler

    from moedsr_platform.searcher import SweepSearch
    from moedsr_platform.tracking import Tracker
    from moedsr_platform.trial_source import TrialSource


@dataclass(frozen=True, kw_only=True)
class Request:
    """One call of `moedsr sweep` or `moedsr train`.

    Attributes:
        sweep: the checked file.
        file: where it came from.
        resume: go on with the latest sweep of this name.
        address: Ray cluster; None: $RAY_ADDRESS, else this machine.
        train: the training function; None for ``moedsr.training.train``.
        flags: of the command line, that a resumption needs as well.
    """

    sweep: SweepFile
    file: Path
    resume: bool = False
    address: str | None = None
    train: TrainFunction | None = None
    flags: tuple[str, ...] = ()


def run_sweep(request: Request, show: Display | None = None) -> Board:
    """Runs a sweep to its end, and says what came out.

    Raises:
        InputError: before anything runs: data, cluster or tracking store do not fit, or another process runs it.
        JobError: interrupted, or every trial failed.
    """
    sweep, show = request.sweep, show or display()
    folder = old_folder(sweep) if request.resume else None
    with watch_signals() as interruption:
        try:
            with contextlib.ExitStack() as held:
                watcher = None if folder is None else _take(folder, held)
                ground = _prepare(request, folder, show, interruption)
                if folder is None or watcher is None:
                    folder = new_folder(sweep, request.file)
                    watcher = _take(folder, held)
                return _run(request, folder, ground, show, interruption, watcher, held)
        except (KeyboardInterrupt, SystemExit):  # the latter: Ray's own answer to SIGTERM while it starts
            kept = "what was prepared is kept" if folder is None else "finished trials are kept"
            raise JobError(f"interrupted; {kept}. Go on with: {again(request, resume=folder is not None)}") from None


def _take(folder: SweepFolder, held: contextlib.ExitStack) -> "subprocess.Popen[bytes]":
    """The sweep is this process's now; who outlives it closes the runs, also those that an earlier one left."""
    held.enter_context(only_here(folder.lock, folder.sweep_id, cluster.job_id()))
    return outlive(folder.path)


@dataclass(frozen=True)
class _Ground:
    """What a sweep needs before there is anything of it: a cluster, and surfaces.

    Attributes:
        made: each way in which the data is prepared, with its store.
        away: whether the tracking server does not answer.
    """

    nodes: list[Node]
    grown: list[Node]
    at_once: int
    made: list[tuple[DataConfig, SurfaceStore]]
    away: bool


def _prepare(request: Request, folder: SweepFolder | None, show: Display, interruption: Interruption) -> _Ground:
    from moedsr_platform.tracking_client import connect

    sweep = request.sweep
    away = _store_is_away(folder, show)
    nodes = cluster.connect(request.address)
    interruption.listen()
    grown = growth(sweep.resources)
    at_once = concurrency(sweep.resources, nodes, grown)
    if not away:
        try:
            connect()  # makes and migrates an embedded store
        except StoreAwayError:  # it went while Ray started
            if folder is None:
                raise
            away = True
    made = [ensure_store(data, show.say) for data in data_settings(sweep.base, sweep.search)]
    return _Ground(nodes, grown, at_once, made, away)


def _run(
    request: Request,
    folder: SweepFolder,
    ground: _Ground,
    show: Display,
    interruption: Interruption,
    watcher: "subprocess.Popen[bytes]",
    held: contextlib.ExitStack,
) -> Board:
    sweep, (data, store) = request.sweep, ground.made[0]
    base = sweep.base.model_copy(update={"data": data})
    tracker = _open_tracker(folder, ground.away, resumed=request.resume)
    held.callback(dismiss, watcher)  # once the tracker, which is closed first, has told all
    held.enter_context(tracker)
    spec = TrialSpec(
        base=base.model_dump_json(),
        store=str(store.path),
        folder=str(folder.trials),
        objective=sweep.objective,
        resources=sweep.resources,
        train=request.train,
        stores={data.prepare.model_dump_json(): str(store.path) for data, store in ground.made},
    )
    board = Board(
        metric=sweep.objective.metric,
        mode=sweep.objective.mode,
        total=sweep.points * sweep.seeds,
        steps=sweep.base.training.steps,
        memorised=sweep.base.evaluation.scope == "trained",
        second=(sweep.objectives[1].metric, sweep.objectives[1].mode) if len(sweep.objectives) > 1 else None,
    )
    show.say(
        f"sweep {folder.sweep_id}: {board.total} trials of {board.steps} steps, {ground.at_once} at a time, "
        f"each {needs(sweep.resources)}; cluster: {offers(ground.nodes)}"
        + (f", can grow to {offers(ground.grown)}" if ground.grown else "")
    )
    show.say(f"results go to {results_folder()}, runs to {without_password(tracker.uri)}")
    if board.total > 1:
        show.say(f"the search as it goes on: optuna-dashboard {without_password(sweep.storage or folder.study)}")
    tags = _tags(sweep, folder, " ".join(store.fingerprint for _, store in ground.made))
    try:
        return _Session(request, folder, spec, board, tracker, base, tags, ground.at_once, show, interruption).run()
    except BaseException:
        tracker.abandon()  # whatever ended it, the store shows nothing as running
        raise


def _open_tracker(folder: SweepFolder, away: bool, *, resumed: bool) -> "Tracker":
    """The server may go at any moment: a sweep that goes on does so without it."""
    from moedsr_platform.tracking import Tracker

    try:
        return Tracker.open(folder=folder.tracking, away=away)
    except StoreAwayError:
        if not resumed:
            raise
        return Tracker.open(folder=folder.tracking, away=True)


def _store_is_away(resumed: SweepFolder | None, show: Display) -> bool:
    """A server that is away is said at once, before Ray takes its seconds to start; a resumed sweep goes on without.

    Raises:
        InputError: the store cannot be used, and the sweep is a new one.
    """
    try:
        check_store(store_uri())
    except StoreAwayError as error:
        if resumed is None:
            raise
        show.say(f"{error}; until then {resumed.tracking} keeps what it is to get")
        return True
    return False


@dataclass(frozen=True)
class _Session:
    """A sweep with all its parts in place."""

    request: Request
    folder: SweepFolder
    spec: TrialSpec
    board: Board
    tracker: "Tracker"
    base: Config
    tags: dict[str, str]
    at_once: int
    show: Display
    interruption: Interruption

    def run(self) -> Board:
        from moedsr_platform.events import SweepListener, TrialEvents
        from moedsr_platform.trial_source import TrialSource

        log = SweepLog(self.folder.log)
        search, scheduler = self._search(log.key)
        replay(log, self.board, search, scheduler)
        self.folder.finished.unlink(missing_ok=True)
        parent = self._begin()
        if self.board.rows:
            self.show.say(_so_far(self.board))
        listener = SweepListener(
            board=self.board,
            log=log,
            saved=self.folder.rows,
            display=self.show,
            tracker=self.tracker,
            parent=parent,
            tags=self.tags,
            spec=self.spec,
            interruption=self.interruption,
            cluster=watch_cluster(),
            again=again(self.request, resume=True),
        )
        TrialEvents.listener = listener
        self.show.start(self.board)
        try:
            if self.board.unfinished:
                self.interruption.patient = True
                source = TrialSource(search, self.at_once, self.board, log, self.interruption)
                self._tuner(source, scheduler).fit()
        except KeyboardInterrupt:
            pass  # asked twice
        except OSError as error:
            if isinstance(error, ConnectionError | TimeoutError):  # Ray's own
                raise
            listener.unwritable = error
        except Exception:
            if search.away is None:  # what Tune makes of that is a page of text
                raise
        finally:
            self.interruption.patient = False
            self.show.stop()
            TrialEvents.listener = None
        self._say_result()
        command = again(self.request, resume=True)
        if listener.unwritable is not None:
            why = f"{self.folder.path}: cannot be written ({listener.unwritable})"
            raise JobError(f"{why}. Make room, then go on with: {command}")
        if search.away is not None:
            raise JobError(f"{search.away}; finished trials are kept. Go on with: {command}")
        if self.board.unfinished:
            raise JobError(f"interrupted; finished trials are kept. Go on with: {command}")
        self._close(parent, listener.run_of)
        self.folder.finished.touch()
        return self.board

    def _begin(self) -> str | None:
        """The run of the sweep; a single trial has none above it."""
        if self.board.total == 1:
            return None
        sweep, file = self.request.sweep, self.folder.path / "sweep.yaml"
        params = _params(sweep, self.base)
        return self.tracker.sweep_run(self.folder.sweep_id, self.tags, params, file, tuple(sweep.search))

    def _search(self, key: str) -> "tuple[SweepSearch, TrialScheduler | None]":
        from moedsr_platform.scheduler import EarlyStopping
        from moedsr_platform.searcher import StudyPlace, SweepSearch

        sweep = self.request.sweep
        place = StudyPlace(self._study, self.folder.sweep_id, self.request.resume, key)
        return SweepSearch(sweep, place), EarlyStopping(sweep, self.folder.trials) if sweep.scheduler else None

    def _tuner(self, source: "TrialSource", scheduler: "TrialScheduler | None") -> "Tuner":
        from ray import tune

        from moedsr_platform.events import EndOfSession, TrialEvents
        from moedsr_platform.lost_processes import survive_losses

        survive_losses()
        shutil.rmtree(self.folder.tune, ignore_errors=True)
        return tune.Tuner(
            trainable(self.spec),
            tune_config=tune.TuneConfig(
                num_samples=self.board.total, search_alg=source, scheduler=scheduler, reuse_actors=True
            ),
            run_config=tune.RunConfig(
                name=self.folder.tune.name,
                storage_path=str(self.folder.path),
                callbacks=[TrialEvents()],
                stop=EndOfSession(),
                failure_config=tune.FailureConfig(max_failures=self.request.sweep.resources.worker_restarts),
                verbose=0,
            ),
        )

    @property
    def _study(self) -> str | None:
        """The database of the Optuna study; a single trial needs none."""
        return (self.request.sweep.storage or self.folder.study) if self.board.total > 1 else None

    def _say_result(self) -> None:
        if self.board.rows:
            self.show.say("")
            self.show.say(result_text(self.board))

    def _close(self, parent: str | None, run_of: Callable[[Any], str]) -> None:
        """Registers the best trial, closes the parent run, and says what to do next."""
        best = self.board.best
        run = run_of(best) if best is not None else None
        if parent is not None:
            self.tracker.finish_sweep(
                parent,
                self.board.markdown(),
                note=sweep_note(self.board),
                best_run=run,
                metrics=best.best if best is not None else None,
                state="COMPLETE" if best is not None else "FAIL",
            )
        if best is None or run is None:
            reasons = [row.reason for row in self.board.rows.values() if row.reason]
            why = reasons[0] if reasons else "none was validated"
            self.folder.finished.touch()  # to go on would come to the same
            raise JobError(f"no trial of {self.folder.sweep_id} left a model: {why}; see {self.folder.path}")
        self._register(run)

    def _register(self, run: str) -> None:
        target, best = self.request.sweep.register_as, self.board.best
        assert best is not None
        assert best.checkpoint is not None
        model = best.checkpoint
        if target is not None:
            version = self.tracker.register(
                run, Path(best.checkpoint), model=target.model, alias=target.alias, metrics=best.best
            )
            model = f"models:/{target.model}@{target.alias}"
            if version is None:
                self.show.say(f"the tracking server is away: `moedsr sync` registers {model} when it is back")
            else:
                self.show.say(f"registered as {model} (version {version})")
        following = []
        # for who types the next command elsewhere
        if "MLFLOW_TRACKING_URI" not in os.environ and results_folder() != Path("results").absolute():
            following.append(f"export MOEDSR_HOME={shlex.quote(str(results_folder()))}")
        following.append("moedsr ui")
        if target is not None:
            following.append(f"moedsr promote {model} --alias champion")
            model = f"models:/{target.model}@champion"
        else:
            following.append(f"moedsr evaluate {model} --store {self.spec.store} --split test")
        following.append(f"moedsr predict {model} FILE.pdb --times -1:1:5 --out surfaces")
        self.show.say("\n".join(["\nnext:", *(f"  {line}" for line in following)]))


def again(request: Request, *, resume: bool | None = None) -> str:
    """The command that goes on with a request; ``resume``: whether its sweep has begun."""
    command = "sweep" if request.sweep.search else "train"
    resumed = ["--resume"] if (request.resume if resume is None else resume) else []
    line = shlex.join(["moedsr", command, str(request.file), *request.flags, *resumed])
    return f"ray job submit --working-dir . -- {line}" if in_uploaded_folder() else line


def _so_far(board: Board) -> str:
    ended = len(board.rows) - len(board.left)
    return f"going on: {ended} of {board.total} trials have ended, {len(board.left)} go on from their last checkpoints"


def _params(sweep: SweepFile, base: Config) -> dict[str, Any]:
    search = {f"search.{key}": domain.text() for key, domain in sweep.search.items()}
    return {**base.flat(), **search, "sampler": sweep.sampler, "seeds": sweep.seeds}


def _tags(sweep: SweepFile, folder: SweepFolder, fingerprint: str) -> dict[str, str]:
    tags = {
        "moedsr.sweep_id": folder.sweep_id,
        "moedsr.sampler": sweep.sampler,
        "moedsr.objective": sweep.objective.metric,
        "moedsr.mode": sweep.objective.mode,
        "moedsr.store_fingerprint": fingerprint,
        "moedsr.git_commit": git_commit() or "",
        "moedsr.ray_job_id": cluster.job_id() or "",
        "moedsr.ray_dashboard": cluster.dashboard() or "",
    }
    return {key: value for key, value in tags.items() if value}
