"""Whose latent code a frame has."""

import pytest

from moedsr.batches.training_frames import code_row, trajectories
from moedsr.config import Config
from moedsr.store.store import SurfaceStore


def configured(config: Config, **data: object) -> Config:
    return config.model_copy(
        update={
            "expert": config.expert.model_copy(update={"latent_per": "replica"}),
            "data": config.data.model_copy(update=data),
        }
    )


def test_a_code_for_each_replica(tiny_run: Config, tiny_store: SurfaceStore) -> None:
    proteins = [tiny_store.protein(name) for name in ("1l2y_A", "1ppe_I")]
    found = trajectories(proteins, configured(tiny_run))
    assert [each.code for each in found] == [f"{name}/{k}" for name in ("1l2y_A", "1ppe_I") for k in (1, 2, 3)]
    for each in found:
        assert each.frames[0] == 0
        assert [int(each.protein.replicas[frame]) for frame in each.frames[1:]] == [each.replica] * 2
    later = [frame for each in found[:3] for frame in each.frames[1:]]
    assert later == list(range(1, 7))


def test_a_code_for_each_protein(tiny_run: Config, tiny_store: SurfaceStore) -> None:
    (found,) = trajectories([tiny_store.protein("1l2y_A")], tiny_run)
    assert (found.code, found.frames) == ("1l2y_A", list(range(7)))


def test_replicas_without_a_frame_have_none(tiny_run: Config, tiny_store: SurfaceStore) -> None:
    protein = [tiny_store.protein("1l2y_A")]
    assert [each.code for each in trajectories(protein, configured(tiny_run, replicas=(2,)))] == ["1l2y_A/2"]
    assert [each.code for each in trajectories(protein, configured(tiny_run, frames=1))] == ["1l2y_A/3"]
    (alone,) = trajectories(protein, configured(tiny_run, frames=0))
    assert (alone.code, alone.frames) == ("1l2y_A/1", [0])


@pytest.mark.parametrize(
    ("protein", "replica", "expected"),
    [("a", 2, 0), ("a", 3, 1), ("a", 0, 0), ("a", 1, -1), ("b", 7, 2), ("b", 0, 2), ("c", 1, -1), ("c", 0, -1)],
)
def test_row_of_a_frame(protein: str, replica: int, expected: int) -> None:
    assert code_row({"a/2": 0, "a/3": 1, "b": 2}, protein, replica) == expected
