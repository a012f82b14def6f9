import numpy as np
import pytest
import torch

from moedsr.batches.batches import BatchSampler
from moedsr.batches.training_frames import spread, training_frames
from moedsr.config import Config
from moedsr.errors import InputError
from moedsr.store.store import SurfaceStore


def test_batch_is_a_function_of_the_step(tiny_run: Config, tiny_store: SurfaceStore) -> None:
    one, other = (BatchSampler(tiny_store, tiny_run, tiny_store.names("train")) for _ in range(2))
    other.batch(3)
    torch.testing.assert_close(one.batch(7).surface_points, other.batch(7).surface_points, atol=0, rtol=0)
    assert not torch.equal(one.batch(7).surface_points, one.batch(8).surface_points)


def test_workers_share_the_batch_of_one(tiny_run: Config, tiny_store: SurfaceStore) -> None:
    sampler = BatchSampler(tiny_store, tiny_run, tiny_store.names("train"))
    whole = sampler.batch(5)
    parts = [sampler.batch(5, rank=rank, workers=2) for rank in range(2)]
    for name in (
        "time",
        "surface_points",
        "surface_normals",
        "off_surface_points",
        "gate_noise",
        "keep_code",
    ):
        torch.testing.assert_close(torch.cat([getattr(p, name) for p in parts]), getattr(whole, name), atol=0, rtol=0)
    assert torch.equal(torch.cat([p.proteins.code_index for p in parts]), whole.proteins.code_index)


def test_every_protein_once_an_epoch(tiny_run: Config, tiny_store: SurfaceStore) -> None:
    sampler = BatchSampler(tiny_store, tiny_run, tiny_store.names("train"))
    for step in range(5):
        assert sorted(sampler.batch(step).proteins.code_index.tolist()) == [0, 1]


def test_what_a_batch_holds(tiny_run: Config, tiny_store: SurfaceStore) -> None:
    names = tiny_store.names("train")
    batch = BatchSampler(tiny_store, tiny_run, names).batch(0)
    assert batch.surface_points.shape == (2, 2, 64, 3)
    assert batch.off_surface_points.shape == (2, 2, 64 + 8, 3)
    torch.testing.assert_close(batch.surface_normals.norm(dim=-1), torch.ones(2, 2, 64), atol=1e-3, rtol=0)
    assert batch.surface_points.norm(dim=-1).max() < 1.2
    assert batch.proteins.points.shape == (2 * tiny_run.router.cloud_points, 3)
    for place, index in enumerate(batch.proteins.code_index.tolist()):
        protein = tiny_store.protein(names[index])
        assert batch.proteins.scale[place] == pytest.approx(protein.scale)
        assert set(batch.time[place].tolist()) <= set(protein.times.tolist())
        points = batch.surface_points[place, 0].numpy() * protein.scale
        frame = protein.times.tolist().index(batch.time[place, 0].item())
        nearest = np.linalg.norm(points[:, None] - protein.frame(frame).points, axis=-1).min(1)
        assert nearest.max() < 1e-3


def test_frames_wanted(tiny_run: Config, tiny_store: SurfaceStore) -> None:
    protein = tiny_store.protein("1l2y_A")

    def frames(**wanted: object) -> list[int]:
        return training_frames(protein, tiny_run.model_copy(update={"data": tiny_run.data.model_copy(update=wanted)}))

    assert frames() == list(range(7))
    assert frames(frames=0) == [0]
    assert frames(frames=3) == [0, 2, 4, 6]
    assert [int(protein.replicas[i]) for i in frames(replicas=(2,))[1:]] == [2, 2]


@pytest.mark.parametrize(("count", "expected"), [(None, [1, 2, 3, 4]), (9, [1, 2, 3, 4]), (2, [2, 4]), (1, [4])])
def test_spread(count: int | None, expected: list[int]) -> None:
    assert spread([1, 2, 3, 4], count) == expected


def test_unknown_replica(tiny_run: Config, tiny_store: SurfaceStore) -> None:
    run = tiny_run.model_copy(update={"data": tiny_run.data.model_copy(update={"replicas": (7,)})})
    with pytest.raises(InputError, match=r"data.replicas is \[7\], but 1l2y_A .* has replicas \[1, 2, 3\]"):
        BatchSampler(tiny_store, run, ["1l2y_A"])


def test_empty_split(tiny_run: Config, tiny_store: SurfaceStore) -> None:
    with pytest.raises(InputError, match="no protein to train on"):
        BatchSampler(tiny_store, tiny_run, [])


def test_code_dropout_rate(tiny_run: Config, tiny_store: SurfaceStore) -> None:
    training = tiny_run.training.model_copy(update={"latent_dropout": 0.25, "surface_points": 1})
    sampler = BatchSampler(tiny_store, tiny_run.model_copy(update={"training": training}), tiny_store.names("train"))
    kept = torch.cat([sampler.batch(step).keep_code for step in range(200)])
    assert 0.65 < kept.mean() < 0.85
