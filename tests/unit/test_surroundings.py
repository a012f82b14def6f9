"""What lies around a point, on its grid and as the experts read it."""

import builders
import numpy as np
import pytest
import torch

from moedsr.batches.batch import SURROUNDING_BLURS, SURROUNDING_CHANNELS
from moedsr.batches.mobility import AtomMobility
from moedsr.batches.surroundings import surroundings as on_a_grid
from moedsr.geometry.surface import solvent_excluded_surface
from moedsr.models.experts.initial_distance import initial_distance
from moedsr.models.experts.surroundings import surroundings

ATOM = np.zeros((1, 3))


@pytest.fixture(scope="module")
def ball() -> tuple[np.ndarray, np.ndarray]:
    """Channels along the x axis from a carbon atom, and the distance from it in Å."""
    surface = solvent_excluded_surface(ATOM, np.array([3.0]), spacing=0.5)
    nodes, origin, spacing = on_a_grid(surface, AtomMobility(ATOM, np.array([2.0]), np.array([0.3])))
    place = np.rint(-origin / spacing).astype(int)
    return nodes[:, place[1], place[2]], np.abs(np.arange(len(nodes)) * spacing + origin[0])


def test_a_blurred_ball_is_smaller(ball: tuple[np.ndarray, np.ndarray]) -> None:
    """The mean of a distance over a Gaussian is larger where the surface is convex, by σ²/r far from the centre."""
    channels, distance = ball
    assert channels.shape[1] == SURROUNDING_CHANNELS
    shell = (distance > 2.9) & (distance < 5)
    for channel, width in enumerate(SURROUNDING_BLURS[:2]):
        gain = channels[shell, channel] - (distance[shell] - 3)
        np.testing.assert_allclose(gain, width**2 / distance[shell], atol=0.15)
    assert (np.diff(channels[shell][:, : len(SURROUNDING_BLURS)], axis=1) > 0).all()


def test_averages_fade_far_from_the_atoms(ball: tuple[np.ndarray, np.ndarray]) -> None:
    channels, distance = ball
    depth = channels[:, len(SURROUNDING_BLURS)]  # over the shorter reach
    assert depth[distance < 1].min() > 0.9
    assert depth[distance > 10].max() < 0.05


def test_derivatives_equal_autograd() -> None:
    random = torch.Generator().manual_seed(0)
    distances = builders.make_proteins().initial_distances
    assert distances is not None
    positions = (6 * torch.randn(2, 40, 3, generator=random, dtype=torch.float64)).requires_grad_()
    start, slope = initial_distance(distances, torch.arange(2), positions)
    found = surroundings(distances, positions, start, slope, 6.0, gradient=True)
    pairs = ((found.features, found.jacobian), (found.corrections, found.corrections_jacobian))
    for values, jacobian in pairs:
        assert jacobian is not None
        for channel in range(values.shape[-1]):
            if values[..., channel].grad_fn is None:
                continue
            (expected,) = torch.autograd.grad(values[..., channel].sum(), positions, retain_graph=True)
            torch.testing.assert_close(jacobian[..., channel, :], expected, atol=1e-10, rtol=1e-10)
    (expected,) = torch.autograd.grad(found.reach.sum(), positions)
    torch.testing.assert_close(found.reach_slope, expected, atol=1e-10, rtol=1e-10)


def test_reaches_so_far_and_no_farther() -> None:
    distances = builders.make_proteins().initial_distances
    assert distances is not None
    positions = 6 * torch.randn(2, 200, 3, dtype=torch.float64)
    start, slope = initial_distance(distances, torch.arange(2), positions)
    reach = surroundings(distances, positions, start, slope, 4.0, gradient=False).reach
    assert (reach[start.abs() >= 4] == 0).all()
    assert (reach[start.abs() < 3.9] > 0).all()
    assert reach.max() <= 1
