import pytest
import torch
from e3nn import o3

from moedsr.config import HARMONIC_CHANNELS
from moedsr.models.experts.harmonics import Harmonics


@pytest.mark.parametrize("channels", HARMONIC_CHANNELS)
def test_equals_e3nn_times_norm(channels: int) -> None:
    points = torch.randn(200, 3, dtype=torch.float64)
    degrees = list(HARMONIC_CHANNELS[channels])
    value, _ = Harmonics(channels, 0.0)(points)
    radius = points.norm(dim=-1, keepdim=True)
    expected = radius * o3.spherical_harmonics(degrees, points, normalize=True, normalization="norm")
    torch.testing.assert_close(value, expected / len(degrees) ** 0.5, atol=1e-12, rtol=0)
    torch.testing.assert_close(value.norm(dim=-1), radius[:, 0], atol=1e-12, rtol=0)


@pytest.mark.parametrize("channels", HARMONIC_CHANNELS)
@pytest.mark.parametrize("epsilon", [0.0, 0.01])
def test_jacobian_equals_autograd(channels: int, epsilon: float) -> None:
    harmonics = Harmonics(channels, epsilon)
    points = torch.randn(50, 3, dtype=torch.float64)
    expected = torch.func.vmap(torch.func.jacrev(lambda x: harmonics(x)[0]))(points)
    torch.testing.assert_close(harmonics(points)[1], expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize(("channels", "squares"), [(4, [2, 1, 1]), (9, [4, 4, 3]), (16, [10, 10, 4])])
def test_jacobian_singular_values(channels: int, squares: list[float]) -> None:
    """Radial² = Σ|Y_l|², tangential² = Σ|Y_l|² l(l+1)/2, over the number of degrees."""
    _, jacobian = Harmonics(channels, 0.0)(torch.randn(20, 3, dtype=torch.float64))
    expected = (torch.tensor(squares, dtype=torch.float64) / len(HARMONIC_CHANNELS[channels])).sqrt()
    torch.testing.assert_close(torch.linalg.svdvals(jacobian), expected.expand(20, 3))


@pytest.mark.parametrize("channels", HARMONIC_CHANNELS)
def test_smooth_at_the_origin(channels: int) -> None:
    points = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    value, jacobian = Harmonics(channels, 0.01)(points)
    (slope,) = torch.autograd.grad(value.sum() + jacobian.square().sum(), points)
    assert torch.isfinite(slope).all()


def test_plain_coordinates() -> None:
    points = torch.randn(10, 3)
    value, jacobian = Harmonics(3, 0.01)(points)
    torch.testing.assert_close(value, points)
    torch.testing.assert_close(jacobian, torch.eye(3).expand(10, 3, 3))
