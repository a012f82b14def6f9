from collections.abc import Callable

import torch

from moedsr.batches.batch import ProteinBatch
from moedsr.geometry.quasi_geodesic import quasi_geodesic_distance, quasi_geodesic_pairs, smooth_normals


def test_distance_grows_with_the_turn_of_the_normals() -> None:
    step, up = torch.tensor([[3.0, 4.0, 0.0]]), torch.tensor([[0.0, 0.0, 1.0]])
    side = torch.tensor([[1.0, 0.0, 0.0]])
    found = torch.cat([quasi_geodesic_distance(step, up, other) for other in (up, side, -up)])
    torch.testing.assert_close(found, torch.tensor([5.0, 10.0, 15.0]))


def test_pairs_are_those_of_the_whole_matrix(make_proteins: Callable[..., ProteinBatch]) -> None:
    proteins = make_proteins((60, 40, 1))
    x, owner = proteins.points, proteins.point_protein
    normals = smooth_normals(x, proteins.normals, owner, 2.5)
    distance = quasi_geodesic_distance(x[:, None] - x, normals[:, None], normals)
    wanted = (distance < 9.0) & (owner[:, None] == owner) & ~torch.eye(len(x), dtype=torch.bool)
    target, source, found = quasi_geodesic_pairs(
        points=x, normals=proteins.normals, protein=owner, smoothing=2.5, radius=9.0
    )
    assert (target.diff() >= 0).all()
    assert set(zip(target.tolist(), source.tolist(), strict=True)) == {
        tuple(pair) for pair in wanted.nonzero().tolist()
    }
    assert len(target) == wanted.sum() > 100
    torch.testing.assert_close(found, distance[target, source])


def test_normals_that_cancel_are_kept() -> None:
    """Both sides of a sheet without thickness."""
    points = torch.zeros(2, 3)
    normals = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]])
    torch.testing.assert_close(smooth_normals(points, normals, torch.zeros(2, dtype=torch.long), 2.5), normals)
