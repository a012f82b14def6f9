"""Neighbour searches, against their definitions."""

import pytest
import torch

from moedsr.geometry.neighbours import farthest_points_of_each, nearest


def random_points(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_definition(points: torch.Tensor, count: int) -> list[int]:
    chosen = [int((points - points.mean(0)).norm(dim=1).argmax())]
    while len(chosen) < count:
        chosen.append(int(torch.cdist(points, points[chosen]).amin(1).argmax()))
    return chosen


@pytest.mark.parametrize(("ratio", "fewest", "counts"), [(0.25, 1, (13, 5)), (1 / 3, 8, (17, 8)), (1.0, 1, (50, 18))])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_each_protein_is_sampled_by_itself(
    ratio: float, fewest: int, counts: tuple[int, int], dtype: torch.dtype
) -> None:
    points = random_points(68).to(dtype)
    protein = torch.repeat_interleave(torch.arange(2), torch.tensor([50, 18]))
    index = farthest_points_of_each(points=points, protein=protein, ratio=ratio, fewest=fewest)
    expected = by_definition(points[:50], counts[0]), [50 + i for i in by_definition(points[50:], counts[1])]
    assert index.tolist() == expected[0] + expected[1]


def test_order_does_not_change_the_sample() -> None:
    points, protein = random_points(60), torch.zeros(60, dtype=torch.long)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(1))
    there = farthest_points_of_each(points=points, protein=protein, ratio=0.3)
    here = farthest_points_of_each(points=points[order], protein=protein, ratio=0.3)
    assert order[here].tolist() == there.tolist()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100, 1023, 1024, 2048])
@pytest.mark.parametrize("ratio", [0.25, 1 / 3, 0.375, 0.5, 1.0])
def test_as_many_points_as_asked_for(size: int, ratio: float) -> None:
    points, protein = random_points(size).float(), torch.zeros(size, dtype=torch.long)
    index = farthest_points_of_each(points=points, protein=protein, ratio=ratio)
    assert len(index) == -int(-size * ratio // 1)
    assert len(index.unique()) == len(index)


def test_small_and_coincident_clouds_keep_what_they_have() -> None:
    protein = torch.tensor([0, 1, 1, 1])
    index = farthest_points_of_each(points=torch.ones(4, 3), protein=protein, ratio=0.1, fewest=16)
    assert protein[index].tolist() == [0, 1, 1, 1]


def test_nearest_are_in_order_and_of_the_same_protein() -> None:
    points, protein = random_points(40), torch.repeat_interleave(torch.arange(2), torch.tensor([37, 3]))
    index, found = nearest(queries=points, query_protein=protein, points=points, point_protein=protein, k=5)
    distance = torch.cdist(points, points).masked_fill(protein[:, None] != protein, torch.inf)
    expected = distance.argsort(1)[:, :5]
    assert index[:37].tolist() == expected[:37].tolist()
    assert found[:37].all()
    assert found[37:].tolist() == [[True, True, True, False, False]] * 3
    assert index[37:, :3].tolist() == expected[37:, :3].tolist()
