"""What became of a protein's task: prepared, set aside with its reason, or a fault that is no protein's."""

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from moedsr.config import DataConfig, PrepareConfig
from moedsr.errors import CannotWriteError, InputError, JobError
from moedsr.store.prepare import prepare_protein
from moedsr.structures.ensemble import find_ensembles
from moedsr_platform.cluster import preparation
from moedsr_platform.cluster.preparation import ensure_store, prepare_store
from moedsr_platform.cluster.preparation_tasks import Outcome, ProcessesLost, _outcome

ray = pytest.importorskip("ray")

TINY = PrepareConfig(frames=2, surface_points=50, grid_spacing=1.5, occupancy_grid=16)


def ended_with(error: Exception, monkeypatch: pytest.MonkeyPatch) -> str:
    failure = ray.exceptions.RayTaskError("prepare_anywhere", "", error).as_instanceof_cause()

    def get(reference: object) -> None:
        raise failure

    monkeypatch.setattr(ray, "get", get)
    outcome = _outcome(object(), "store")
    assert isinstance(outcome, str)
    return outcome


def test_a_bad_protein_is_set_aside_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ended_with(InputError("one.pdb: holds no frame"), monkeypatch) == "one.pdb: holds no frame"
    assert ended_with(ValueError("odd"), monkeypatch) == "ValueError: odd"


@pytest.mark.parametrize(
    "error", [CannotWriteError("store/a: cannot be written (No space left)"), OSError(errno.ENOSPC, "No space left")]
)
def test_a_full_disk_ends_the_command(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        CannotWriteError, match=r"^store.*cannot be written.*No space left.*; finished proteins are kept$"
    ):
        ended_with(error, monkeypatch)


def test_ray_that_is_gone_is_no_proteins_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def get(reference: object) -> None:
        raise ray.exceptions.LocalRayletDiedError

    monkeypatch.setattr(ray, "get", get)
    with pytest.raises(JobError, match=r"^Ray on this machine is gone; finished proteins are kept"):
        _outcome(object(), "store")


def test_a_sweep_does_not_begin_without_a_protein_whose_processes_were_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is prepared by itself is told so, and tried again when it is asked again; a sweep would never ask."""
    prepared = {one.name: prepare_protein(one, TINY, tmp_path / "store") for one in find_ensembles("mini-atlas")[:1]}

    def outcomes(*arguments: object) -> Iterator[tuple[str, Outcome]]:
        yield from prepared.items()
        yield "lost_A", ProcessesLost("its worker was lost three times: killed")

    monkeypatch.setattr(preparation, "outcomes", outcomes)
    with pytest.raises(JobError, match=r"^1 of 2 proteins are not prepared; lost_A: its worker was lost three times: "):
        ensure_store(DataConfig(source="mini-atlas", store=tmp_path / "store", prepare=TINY), lambda line: None)
    assert not (tmp_path / "store" / "manifest.json").exists()
    assert prepare_store("mini-atlas", TINY, tmp_path / "store", lambda line: None).names() == list(prepared)
