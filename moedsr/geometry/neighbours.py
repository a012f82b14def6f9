"""Neighbour searches on point clouds of several proteins; the only file that imports torch-cluster."""

import torch
import torch_cluster
from torch import Tensor


def nearest(
    *, queries: Tensor, query_protein: Tensor, points: Tensor, point_protein: Tensor, k: int
) -> tuple[Tensor, Tensor]:
    """The k nearest points of the same protein, nearest first.

    Args:
        queries: (Q, 3).
        query_protein: (Q,) ascending.
        points: (P, 3).
        point_protein: (P,) ascending.
        k: neighbours wanted.

    Returns:
        index (Q, k) into points, and mask (Q, k), False where the protein has fewer than k points.
    """
    query_row, point_row = torch_cluster.knn(points, queries, k, point_protein, query_protein)
    return _dense(query_row, point_row, queries=len(queries), width=k)


def _dense(rows: Tensor, points: Tensor, *, queries: int, width: int) -> tuple[Tensor, Tensor]:
    """Pairs (E,), grouped by query, as index (queries, width) and mask."""
    found = torch.bincount(rows, minlength=queries)
    slot = torch.arange(len(rows), device=rows.device) - (torch.cumsum(found, 0) - found)[rows]
    index = torch.zeros(queries, width, dtype=torch.long, device=rows.device)
    index[rows, slot] = points
    return index, torch.arange(width, device=rows.device) < found[:, None]


def pairs_within(*, points: Tensor, protein: Tensor, radius: float) -> tuple[Tensor, Tensor]:
    """All ordered pairs (target, source), target ≠ source, of one protein within a distance.

    Args:
        points: (P, 3).
        protein: (P,) ascending.
        radius: in the unit of the points.

    Returns:
        target (E,) ascending and source (E,).
    """
    # torch-cluster silently keeps max_num_neighbors pairs; no protein has more than its own points
    most = int(torch.bincount(protein).max())
    source, target = torch_cluster.radius_graph(points, radius, protein, loop=False, max_num_neighbors=most)
    order = torch.argsort(target, stable=True)
    return target[order], source[order]


def farthest_points(points: Tensor, count: int) -> Tensor:
    """Indices (count,) of an even subset by farthest-point sampling, deterministic, starting at the first point."""
    if count >= len(points):
        return torch.arange(len(points), device=points.device)
    chosen: Tensor = torch_cluster.fps(points, ratio=count / len(points), random_start=False)
    return chosen[:count]


def farthest_points_of_each(*, points: Tensor, protein: Tensor, ratio: float, fewest: int = 1) -> Tensor:
    """An even subset of each protein by farthest-point sampling, whatever the order of its points.

    Sampling starts at the point farthest from the protein's centroid, so that only ties depend on the order.

    Args:
        points: (P, 3).
        protein: (P,) ascending.
        ratio: of the points that are kept, in (0, 1], rounded up.
        fewest: no protein keeps fewer, unless it has fewer.

    Returns:
        (Q,) indices into points, grouped by protein, in ascending order of protein.
    """
    size = int(protein[-1]) + 1
    count = torch.bincount(protein, minlength=size)
    first = torch.cumsum(count, 0) - count
    start = _farthest_from_centroid(points, protein, count)
    order = torch.arange(len(points), device=points.device)
    order[first], order[start] = start, first
    kept = torch.maximum(torch.ceil(count * ratio).long(), count.clamp_max(fewest))
    # torch-cluster rounds ratio * count up; half a point less keeps rounding errors from adding one
    share = ((kept - 0.5) / count).to(points.dtype)
    chosen: Tensor = torch_cluster.fps(points[order], protein, ratio=share, random_start=False)
    return order[chosen]


def _farthest_from_centroid(points: Tensor, protein: Tensor, count: Tensor) -> Tensor:
    """(B,) index of the point farthest from the centroid of each protein; the first of equals."""
    centroid = points.new_zeros(len(count), 3).index_add(0, protein, points) / count[:, None]
    distance = torch.linalg.vector_norm(points - centroid[protein], dim=-1)
    largest = distance.new_zeros(len(count)).scatter_reduce(0, protein, distance, "amax")
    index = torch.arange(len(points), device=points.device)
    candidates = torch.where(distance == largest[protein], index, len(points))
    return torch.full_like(count, len(points)).scatter_reduce(0, protein, candidates, "amin")
