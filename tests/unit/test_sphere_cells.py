"""Which sphere covers a point, against all spheres."""

import numpy as np
import pytest

from moedsr.geometry.sphere_cells import NONE, covering_sphere, deepest_spheres, sort_into_cells


@pytest.mark.parametrize(("count", "spread"), [(1, 1.0), (60, 4.0), (300, 6.0)])
def test_deepest_sphere_against_all(count: int, spread: float) -> None:
    rng = np.random.default_rng(count)
    centres, radii = rng.normal(0, spread, (count, 3)), rng.uniform(2.5, 3.3, count)
    points = rng.normal(0, 2 * spread, (3000, 3))
    power = ((points[:, None] - centres) ** 2).sum(-1) - radii**2
    expected = np.where(power.min(axis=1) < -1e-4, power.argmin(axis=1), NONE)
    cells = sort_into_cells(centres, radii)
    assert np.array_equal(deepest_spheres(points, cells), expected)
    assert 0 < (expected == NONE).sum() < len(points)
    any_will_do = np.array([covering_sphere(*point, cells, False) for point in points])
    assert np.array_equal(any_will_do == NONE, expected == NONE)
    covered = any_will_do != NONE
    assert (power[covered, any_will_do[covered]] < 0).all()


def test_far_away_is_uncovered() -> None:
    cells = sort_into_cells(np.zeros((1, 3)), np.ones(1))
    points = np.array([[1e6, 0, 0], [-1e6, 3, 0], [0, 0, 1e6]])
    assert (deepest_spheres(points, cells) == NONE).all()
