"""The next batch is read while the present one is computed with."""

from concurrent.futures import Future, ThreadPoolExecutor

from moedsr.batches.batch import TrainingBatch
from moedsr.batches.batches import BatchSampler


class PrefetchedBatches:
    """A sampler's batches, one step ahead, by one thread.

    A batch depends on its step alone, so looking ahead changes nothing but the time; a step that was not foreseen, as
    after a resume, is read when it is asked for.
    """

    def __init__(self, sampler: BatchSampler, *, rank: int = 0, workers: int = 1) -> None:
        self._sampler = sampler
        self._share = {"rank": rank, "workers": workers}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._foreseen: tuple[int, Future[TrainingBatch]] | None = None

    def batch(self, step: int) -> TrainingBatch:
        """This worker's slice of the batch of one step; errors of the sampler are raised here."""
        foreseen = self._foreseen
        future = foreseen[1] if foreseen is not None and foreseen[0] == step else self._begin(step)
        self._foreseen = None
        batch = future.result()
        self._foreseen = (step + 1, self._begin(step + 1))
        return batch

    def _begin(self, step: int) -> "Future[TrainingBatch]":
        return self._thread.submit(self._sampler.batch, step, **self._share)
