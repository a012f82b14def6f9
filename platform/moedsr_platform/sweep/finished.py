"""A sweep that has finished and is resumed: its table again, and what has gone since. Nothing is started or written."""

from collections.abc import Iterator
from pathlib import Path

from moedsr.errors import InputError, JobError
from moedsr.files import written_whole
from moedsr_platform.display.board import Board, Row
from moedsr_platform.display.progress import Display, result_text
from moedsr_platform.sweep.folder import SweepFolder
from moedsr_platform.sweep.lock import only_here
from moedsr_platform.sweep.log import SweepLog, replay
from moedsr_platform.sweep_file.schema import SweepFile
from moedsr_platform.tracking.journal import is_waiting
from moedsr_platform.tracking.store import store_uri, without_password
from moedsr_platform.tracking.sweep_identity import read_identity
from moedsr_platform.trial.storage import is_remote


def finish(folder: SweepFolder, sweep: SweepFile) -> None:
    """Notes that all is done that the sweep asks for."""
    with written_whole(folder.finished) as aside:
        aside.write_text(_done(sweep), encoding="utf-8")


def is_done(folder: SweepFolder, sweep: SweepFile) -> bool:
    """Whether all is done and told; a resumption may ask for more trials, or for a registration."""
    return (
        folder.finished.exists()
        and folder.finished.read_text(encoding="utf-8") == _done(sweep)
        and not is_waiting(folder.tracking)
    )


def show_again(folder: SweepFolder, sweep: SweepFile, show: Display) -> Board:
    """Its result, as it was shown when it finished.

    Raises:
        InputError: another process goes on with it just now.
        JobError: it had no result.
    """
    board = Board.of(sweep)
    with only_here(folder.lock, folder.sweep_id):
        replay(SweepLog(folder.log), board)
    show.say(f"sweep {folder.sweep_id} has finished: nothing is left to be done\n")
    show.say(result_text(board))
    if board.best is None:
        raise no_model(folder, board)
    for line in _missing(folder, sweep, board):
        show.say(line)
    return board


def no_model(folder: SweepFolder, board: Board) -> JobError:
    """Why a sweep has nothing to show for itself."""
    reasons = [row.reason for row in board.rows.values() if row.reason]
    why = reasons[0] if reasons else "none was validated"
    return JobError(f"no trial of {folder.sweep_id} left a model: {why}; see {folder.path}")


def _done(sweep: SweepFile) -> str:
    target = sweep.register_as
    registered = f"registered as {target.model}@{target.alias}" if target else "not registered"
    return f"{sweep.points * sweep.seeds} trials, {registered}\n"


def _missing(folder: SweepFolder, sweep: SweepFile, board: Board) -> Iterator[str]:
    """What is not there any more, and what that means."""
    assert board.best is not None
    checkpoint = board.best.checkpoint
    here = folder.best / Path(checkpoint).name if checkpoint is not None and is_remote(checkpoint) else checkpoint
    if here is not None and not Path(here).is_dir():
        yield f"its best checkpoint is gone: {checkpoint}; a version that was registered from it has files of its own"
    try:
        gone = _runs_gone(folder, board)
    except InputError as error:
        yield f"its runs cannot be seen: {error}"
        return
    if sweep.register_as is not None and not _is_registered(folder, sweep.register_as.model, board.best):
        yield (
            f"the version of {sweep.register_as.model} that was registered from it is gone from the registry: with "
            "another `model` under `register`, --resume registers it again"
        )
    if gone:
        yield (
            f"{len(gone)} of its runs are gone from the tracking store ({', '.join(gone[:5])}), and with them their "
            f"curves and artifacts: `mlflow runs restore` brings back what was deleted and not purged; {folder.log} "
            "has all scores"
        )


def _is_registered(folder: SweepFolder, model: str, best: Row) -> bool:
    """Whether a registered model has a version from the run of the best trial."""
    from moedsr_platform.tracking.client import connect
    from moedsr_platform.tracking.run_names import KEY_TAG, experiment_name

    client = connect(create=False)
    experiment = client.get_experiment_by_name(experiment_name())
    if experiment is None:
        return False
    key = f"{read_identity(folder.tracking).key}/{best.trial_id}"
    runs = {run.info.run_id for run in client.search_runs([experiment.experiment_id], f"tags.`{KEY_TAG}` = '{key}'")}
    return any(version.run_id in runs for version in client.search_model_versions(f"name = '{model}'"))


def _runs_gone(folder: SweepFolder, board: Board) -> list[str]:
    """Names of the runs that the store has no longer: ``sweep``, and numbers of trials.

    Raises:
        InputError: the store is gone, does not answer, or is not the one in use.
    """
    from moedsr_platform.tracking.client import connect
    from moedsr_platform.tracking.run_names import KEY_TAG, experiment_name

    known, in_use = read_identity(folder.tracking), without_password(store_uri())
    if known.store != in_use:
        raise InputError(
            f"they are in {known.store}, the store in use is {in_use}: set MLFLOW_TRACKING_URI to the former"
        )
    key = known.key
    client = connect(create=False)
    names = {f"{key}/{row.trial_id}": f"trial {row.number}" for row in board.rows.values()}
    if board.total > 1:
        names = {key: "the sweep's own", **names}
    experiment = client.get_experiment_by_name(experiment_name())
    there: set[str] = set()
    token = None
    while experiment is not None:
        page = client.search_runs([experiment.experiment_id], f"tags.`{KEY_TAG}` LIKE '{key}%'", page_token=token)
        there |= {run.data.tags[KEY_TAG] for run in page}
        if not (token := page.token):
            break
    return [name for run, name in names.items() if run not in there]
