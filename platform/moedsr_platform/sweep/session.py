"""The trials of a sweep, from the first or where it was left to the last; then its verdict, and its best model."""

import os
import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moedsr.config import Config
from moedsr.errors import JobError
from moedsr_platform.cluster.connection import leave
from moedsr_platform.cluster.watch import watch_cluster
from moedsr_platform.display.board import Board
from moedsr_platform.display.progress import Display, result_text
from moedsr_platform.interruption import Interruption
from moedsr_platform.sweep.finished import finish, no_model
from moedsr_platform.sweep.folder import SweepFolder
from moedsr_platform.sweep.log import SweepLog, replay
from moedsr_platform.sweep.request import Request, again
from moedsr_platform.sweep_file.schema import SweepFile
from moedsr_platform.tracking.store import results_folder
from moedsr_platform.tracking.sweep_page import sweep_note
from moedsr_platform.trial.storage import fetch_patiently, is_remote
from moedsr_platform.trial.trial import TrialSpec, trainable, uses_ray_train

if TYPE_CHECKING:
    from ray.tune import Tuner
    from ray.tune.schedulers import TrialScheduler

    from moedsr_platform.search.searcher import SweepSearch
    from moedsr_platform.sweep.trial_source import TrialSource
    from moedsr_platform.tracking.tracker import Tracker


@dataclass(frozen=True)
class Session:
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
        """Runs it to its end.

        Raises:
            JobError: interrupted, or no trial left a model.
        """
        from moedsr_platform.sweep.events import SessionOver, SweepListener, TrialEvents
        from moedsr_platform.sweep.trial_source import TrialSource

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
            folder=self.folder,
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
        except SessionOver:
            pass
        except OSError as error:
            if isinstance(error, ConnectionError | TimeoutError):  # Ray's own
                raise
            listener.unwritable = error
        except Exception:
            if search.away is None:  # what Tune makes of that is a page of text
                raise
        finally:
            self.show.stop()
            TrialEvents.listener = None
        command = again(self.request, resume=True)
        self.interruption.reply = f"the end is being written, a second signal cuts it off. Go on with: {command}"
        self._say_result()
        leave()
        if listener.unwritable is not None:
            why = f"{self.folder.path}: cannot be written ({listener.unwritable})"
            raise JobError(f"{why}. Make room, then go on with: {command}")
        if search.away is not None:
            raise JobError(f"{search.away}; finished trials are kept. Go on with: {command}")
        if self.board.unfinished:
            raise self.interruption.error(f"interrupted; finished trials are kept. Go on with: {command}")
        self._close(parent, listener.run_of)
        finish(self.folder, self.request.sweep)
        return self.board

    def _begin(self) -> str | None:
        """The run of the sweep; a single trial has none above it."""
        if self.board.total == 1:
            return None
        sweep, file = self.request.sweep, self.folder.path / "sweep.yaml"
        params = _params(sweep, self.base)
        return self.tracker.sweep_run(self.folder.sweep_id, self.tags, params, file, tuple(sweep.search))

    def _search(self, key: str) -> "tuple[SweepSearch, TrialScheduler | None]":
        from moedsr_platform.search.scheduler import EarlyStopping
        from moedsr_platform.search.searcher import StudyPlace, SweepSearch

        sweep = self.request.sweep
        place = StudyPlace(self._study, self.folder.sweep_id, self.request.resume, key)
        return SweepSearch(sweep, place), EarlyStopping(sweep, self._stop) if sweep.scheduler else None

    def _stop(self, trial_id: str) -> None:
        self.spec.control.ask.remote(trial_id, "stop")

    def _tuner(self, source: "TrialSource", scheduler: "TrialScheduler | None") -> "Tuner":
        from ray import tune

        from moedsr_platform.cluster.lost_processes import survive_losses
        from moedsr_platform.sweep.events import TrialEvents

        survive_losses()
        shutil.rmtree(self.folder.tune, ignore_errors=True)
        return tune.Tuner(
            trainable(self.spec),
            tune_config=tune.TuneConfig(
                num_samples=self.board.total,
                search_alg=source,
                scheduler=scheduler,
                # a process that has had a Ray Train run keeps parts of it
                reuse_actors=not uses_ray_train(self.spec.resources),
            ),
            run_config=tune.RunConfig(
                name=self.folder.tune.name,
                storage_path=str(self.folder.path),
                callbacks=[TrialEvents()],
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
            self.show.say(result_text(self.board, width=self.show.width))
        raised = [self.folder.traceback(row.trial_id) for row in self.board.rows.values() if row.reason]
        if any(place.exists() for place in raised):
            self.show.say(f"where they raised: {self.folder.traceback('*')}")

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
            finish(self.folder, self.request.sweep)  # to go on would come to the same
            raise no_model(self.folder, self.board)
        self._register(run)

    def _register(self, run: str) -> None:
        target, best = self.request.sweep.register_as, self.board.best
        assert best is not None
        assert best.checkpoint is not None
        checkpoint = self._here(best.checkpoint)
        model = shlex.quote(str(checkpoint))
        if target is not None:
            version = self.tracker.register(run, checkpoint, model=target.model, alias=target.alias, metrics=best.best)
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
            following.append(f"moedsr evaluate {model} --store {shlex.quote(self.spec.store)} --split test")
        following.append(f"moedsr predict {model} FILE.pdb --times -1:1:5 --out surfaces")
        self.show.say("\n".join(["\nnext:", *(f"  {line}" for line in following)]))

    def _here(self, checkpoint: str) -> Path:
        """The best checkpoint on this machine: one in an object store is copied once.

        Raises:
            JobError: it is gone.
        """
        if not is_remote(checkpoint):
            return Path(checkpoint)
        if (self.folder.best / Path(checkpoint).name).is_dir():
            return self.folder.best / Path(checkpoint).name
        self.folder.best.mkdir(exist_ok=True)
        found = fetch_patiently(self.spec.storage, checkpoint, self.folder.best / Path(checkpoint).name)
        if found is None:
            raise JobError(f"{checkpoint}, the best checkpoint, is gone: nothing is registered")
        return found


def _so_far(board: Board) -> str:
    ended = len(board.rows) - len(board.left)
    total = max(board.total, len(board.rows))  # a file may ask for fewer now
    return f"going on: {ended} of {total} trials have ended, {len(board.left)} go on from their last checkpoints"


def _params(sweep: SweepFile, base: Config) -> dict[str, Any]:
    search = {f"search.{key}": domain.text() for key, domain in sweep.search.items()}
    return {**base.flat(), **search, "sampler": sweep.sampler, "seeds": sweep.seeds}
