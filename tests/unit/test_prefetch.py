"""Looking ahead changes nothing but the time."""

import threading

import pytest
import torch

from moedsr.batches.batch import TrainingBatch
from moedsr.batches.batches import BatchSampler
from moedsr.batches.prefetch import PrefetchedBatches
from moedsr.config import Config
from moedsr.store.store import SurfaceStore


def same(first: TrainingBatch, second: TrainingBatch) -> bool:
    keys = ("time", "surface_points", "off_surface_points", "gate_noise")
    return all(torch.equal(getattr(first, key), getattr(second, key)) for key in keys)


def test_batches_are_those_of_the_sampler_in_any_order(tiny_store: SurfaceStore, tiny_run: Config) -> None:
    names = tiny_store.names("train")
    sampler = BatchSampler(tiny_store, tiny_run, names)
    ahead = PrefetchedBatches(BatchSampler(tiny_store, tiny_run, names), rank=1, workers=2)
    for step in (0, 1, 2, 7, 8, 3):
        assert same(ahead.batch(step), sampler.batch(step, rank=1, workers=2))


class Watched:
    """A sampler that notes what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.ready = threading.Event()

    def batch(self, step: int, *, rank: int, workers: int) -> int:
        self.asked.append(step)
        if step == 3:
            raise ValueError("step 3")
        if step == 1:
            self.ready.set()
        return step


def test_the_next_step_is_read_unasked_and_its_error_comes_when_it_is_due() -> None:
    watched = Watched()
    ahead = PrefetchedBatches(watched)  # type: ignore[arg-type]
    assert ahead.batch(0) == 0
    assert watched.ready.wait(10)
    assert [ahead.batch(1), ahead.batch(2)] == [1, 2]
    with pytest.raises(ValueError, match="step 3"):
        ahead.batch(3)
    assert watched.asked[:4] == [0, 1, 2, 3]
