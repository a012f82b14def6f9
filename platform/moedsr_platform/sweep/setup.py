"""What a sweep needs before there is anything of it: a cluster that holds a trial, a tracking store, and surfaces."""

import os
from dataclasses import dataclass
from pathlib import Path

from moedsr.config import Config, DataConfig
from moedsr.store.store import SurfaceStore
from moedsr_platform.cluster import connection as cluster
from moedsr_platform.cluster.growth import growth
from moedsr_platform.cluster.nodes import Node, concurrency
from moedsr_platform.cluster.preparation import ensure_store
from moedsr_platform.display.progress import Display
from moedsr_platform.sweep.folder import SweepFolder
from moedsr_platform.sweep.request import Request
from moedsr_platform.sweep_file.schema import SweepFile
from moedsr_platform.sweep_file.search_space import data_settings
from moedsr_platform.tracking.store import StoreAwayError, check_store, results_folder, store_uri
from moedsr_platform.trial.storage import check_seen_by_all, check_writable, is_remote, with_endpoint


@dataclass(frozen=True)
class Setup:
    """All of it, in place.

    Attributes:
        nodes, grown: of the cluster, and when it has grown as far as it can.
        at_once: trials that it holds.
        made: each way in which the data is prepared, with its store.
        away: whether the tracking server does not answer.
        checkpoints: where all sweeps keep those of their trials; None: each in its own folder.
    """

    nodes: list[Node]
    grown: list[Node]
    at_once: int
    made: list[tuple[DataConfig, SurfaceStore]]
    away: bool
    checkpoints: str | None


def set_up(request: Request, folder: SweepFolder | None, show: Display) -> Setup:
    """Connects, checks, and prepares what is not prepared yet; ``folder``: of the sweep that is resumed.

    Raises:
        InputError: cluster, tracking store or data do not fit.
        JobError: the preparation did not come to its end.
    """
    from moedsr_platform.tracking.client import connect

    sweep = request.sweep
    if (checkpoints := checkpoints_of(sweep)) is not None:
        check_writable(checkpoints)
    away = _store_is_away(folder, show)
    address = request.address or os.environ.get("RAY_ADDRESS")
    show.say(f"connecting to Ray at {address}" if address else "starting Ray on this machine")
    nodes = cluster.connect(request.address)
    grown = growth(sweep.resources)
    at_once = concurrency(sweep.resources, nodes, grown)
    check_seen_by_all(checkpoints or str(results_folder()), len(nodes))
    if not away:
        try:
            connect()  # makes and migrates an embedded store
        except StoreAwayError:  # it went while Ray started
            if folder is None:
                raise
            away = True
    made = [ensure_store(data, show.say) for data in data_settings(sweep.base, sweep.search)]
    for data, store in made:
        _check_proteins(sweep.base.model_copy(update={"data": data}), store)
    return Setup(nodes, grown, at_once, made, away, checkpoints)


def checkpoints_of(sweep: SweepFile) -> str | None:
    """Where checkpoints go: by the file, else by $MOEDSR_CHECKPOINTS, else None."""
    place = sweep.checkpoints or os.environ.get("MOEDSR_CHECKPOINTS")
    if not place:
        return None
    return with_endpoint(place) if is_remote(place) else str(Path(place).expanduser().absolute())


def _check_proteins(config: Config, store: SurfaceStore) -> None:
    """What every trial would fail by, one after the other.

    Raises:
        InputError: the store has not the proteins or the replicas that are named, or none to train on or to score.
    """
    from moedsr.batches.batches import BatchSampler
    from moedsr.evaluation.evaluation import Evaluator
    from moedsr.training.trainer import evaluated_proteins, training_proteins

    BatchSampler(store, config, training_proteins(config, store)[:1])
    Evaluator(store, evaluated_proteins(config, store), config)


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
