"""Every answer against the brute-force one."""

import numpy as np
import pytest
from scipy.spatial import KDTree

from moedsr.geometry.accessible_surface import AccessibleSurface, accessible_field

SPACING = 0.5


@pytest.fixture(scope="module")
def spheres():
    rng = np.random.default_rng(0)
    return rng.normal(0, 3.0, (16, 3)), rng.uniform(2.5, 3.3, 16)


def signed(points, centres, radii):
    return (np.linalg.norm(points[:, None] - centres, axis=2) - radii).min(axis=1)


def test_field_is_the_least_distance(spheres):
    centres, radii = spheres
    field = accessible_field(centres, radii, SPACING)
    nodes = field.grid.positions(np.arange(field.values.size))
    expected = np.minimum(signed(nodes, centres, radii), 2 * SPACING)
    np.testing.assert_allclose(field.values.ravel(), expected, atol=2e-5)
    owners = field.owners.ravel()
    owned = owners >= 0
    assert (owned == (expected < 2 * SPACING - 1e-4))[np.abs(expected - 2 * SPACING) > 1e-4].all()
    attained = np.linalg.norm(nodes[owned] - centres[owners[owned]], axis=1) - radii[owners[owned]]
    np.testing.assert_allclose(attained, expected[owned], atol=2e-5)


def test_the_border_of_the_grid_is_outside(spheres):
    values = accessible_field(*spheres, SPACING).values
    for axis in range(3):
        assert (values.take([0, -1], axis=axis) > 0).all()


def test_feet_are_on_the_surface_and_nearest(spheres):
    centres, radii = spheres
    surface = AccessibleSurface(centres, radii, accessible_field(centres, radii, SPACING), reach=3.0)
    rng = np.random.default_rng(1)
    points = rng.normal(0, 4.0, (6_000, 3))
    depth = -signed(points, centres, radii)
    points = points[(depth > 0.1) & (depth < 2.5)]
    feet = surface.feet(points)
    np.testing.assert_allclose(signed(feet, centres, radii), 0.0, atol=2e-5)

    directions = rng.normal(size=(16, 20_000, 3))
    directions /= np.linalg.norm(directions, axis=2, keepdims=True)
    dots = (centres[:, None] + radii[:, None, None] * directions).reshape(-1, 3)
    nearest, _ = KDTree(dots[signed(dots, centres, radii) > -1e-9]).query(points)
    distance = np.linalg.norm(feet - points, axis=1)
    # dots are never nearer than the surface, and miss it by their own spacing at most
    assert (distance < nearest + 0.01).mean() > 0.99
    assert (distance > nearest - 0.05).mean() > 0.99
    assert np.abs(distance - nearest).mean() < 0.01


def test_the_foot_in_a_crease_is_on_the_circle():
    centres, radii = np.array([[-2.0, 0, 0], [2.0, 0, 0]]), np.array([3.1, 3.1])
    surface = AccessibleSurface(centres, radii, accessible_field(centres, radii, SPACING), reach=3.0)
    ring = np.sqrt(3.1**2 - 2.0**2)
    foot = surface.feet(np.array([[0.1, 1.0, 0.0]]))
    np.testing.assert_allclose(foot, [[0.0, ring, 0.0]], atol=1e-9)


def test_three_spheres_meet_in_corners():
    angle = 2 * np.pi * np.arange(3) / 3
    centres = 2.0 * np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    radii = np.full(3, 3.0)
    surface = AccessibleSurface(centres, radii, accessible_field(centres, radii, SPACING), reach=3.0)
    feet = surface.feet(np.array([[0.01, 0.0, 1.0], [0.0, 0.01, -1.0]]))
    height = np.sqrt(3.0**2 - 2.0**2)
    np.testing.assert_allclose(feet, [[0, 0, height], [0, 0, -height]], atol=1e-9)
