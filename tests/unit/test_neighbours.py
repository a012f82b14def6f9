"""Neighbour searches against all distances."""

import torch

from moedsr.geometry.neighbours import neighbours_within


def test_neighbours_within_finds_all_of_the_same_protein() -> None:
    torch.manual_seed(0)
    points, queries = torch.rand(300, 3), torch.rand(80, 3) * 1.5
    owner, asker = torch.arange(300) // 200, torch.arange(80) // 40
    index, found = neighbours_within(
        queries=queries, query_protein=asker, points=points, point_protein=owner, radius=0.4
    )
    near = (torch.cdist(queries, points) < 0.4) & (asker[:, None] == owner)
    assert near.sum(1).max() > 32  # more than the search keeps by default
    assert (near.sum(1) == 0).any()
    ours = torch.zeros_like(near)
    ours[torch.arange(80)[:, None].expand_as(index)[found], index[found]] = True
    assert (ours == near).all()
    assert int(found.sum()) == int(near.sum())


def test_no_neighbour_at_all() -> None:
    one = torch.zeros(1, dtype=torch.long)
    index, found = neighbours_within(
        queries=torch.ones(1, 3), query_protein=one, points=torch.zeros(1, 3), point_protein=one, radius=0.5
    )
    assert index.shape == found.shape == (1, 1)
    assert not found.any()
