"""dMaSIF's parts against plain loops over pairs of points with the same weights."""

import math

import builders
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from moedsr.batches.batch import ProteinBatch
from moedsr.geometry.tangent_frame import tangent_basis
from moedsr.models.router.encoders import _quasi_geodesic_convolution as convolution_module
from moedsr.models.router.encoders._protein_norm import ProteinGroupNorm
from moedsr.models.router.encoders._quasi_geodesic_convolution import FramedSurface, QuasiGeodesicConvolution

SIGMA = 9.0
PRECISIONS = [(torch.float32, 1e-5), (torch.float64, 1e-10)]


def make_surface(sizes: tuple[int, ...], dtype: torch.dtype) -> tuple[FramedSurface, Tensor]:
    proteins = builders.make_proteins(sizes).to("cpu", dtype)
    scores = torch.randn(sum(sizes), generator=torch.Generator().manual_seed(3), dtype=torch.float64).to(dtype)
    return FramedSurface.of(proteins.points, proteins.normals, proteins.point_protein, scores, SIGMA), scores


def plain_frames(surface: FramedSurface, scores: Tensor) -> Tensor:
    frames = []
    for x_i, n_i, own in zip(surface.points, surface.normals, surface.protein, strict=True):
        u, v = tangent_basis(n_i)
        along_u = along_v = torch.zeros((), dtype=x_i.dtype)
        for x_j, n_j, other, score in zip(surface.points, surface.normals, surface.protein, scores, strict=True):
            if own == other:
                distance = (x_j - x_i).norm() * (2 - n_i @ n_j) / SIGMA
                along_u = along_u + torch.exp(-(distance**2)) * score * (u @ (x_j - x_i))
                along_v = along_v + torch.exp(-(distance**2)) * score * (v @ (x_j - x_i))
        length = torch.sqrt(along_u**2 + along_v**2 + 1e-10)  # fades out below 1e-5 Å
        cosine, sine = along_u / length, along_v / length
        frames.append(torch.stack([n_i, cosine * u + sine * v, cosine * v - sine * u]))
    return torch.stack(frames)


def plain_mlp(values: Tensor, weights: dict[str, Tensor], name: str) -> Tensor:
    inner = F.leaky_relu(values @ weights[f"{name}.0.weight"].T + weights[f"{name}.0.bias"], 0.2)
    return F.leaky_relu(inner @ weights[f"{name}.2.weight"].T + weights[f"{name}.2.bias"], 0.2)


def plain_group_norm(values: Tensor, protein: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    parts = []
    for own in protein.unique():
        one = values[protein == own].T[None]  # (1, channels, points), as torch's own takes it
        parts.append(F.group_norm(one, 4, weight, bias)[0].T)
    return torch.cat(parts)


def plain_convolution(surface: FramedSurface, features: Tensor, weights: dict[str, Tensor]) -> Tensor:
    values = plain_mlp(features, weights, "into")
    values = plain_group_norm(values, surface.protein, weights["into_norm.weight"], weights["into_norm.bias"])
    sums = []
    for i in range(len(values)):
        total = torch.zeros_like(values[0])
        for j in range(len(values)):
            if surface.protein[i] == surface.protein[j]:
                offset = surface.points[j] - surface.points[i]
                stretch = 2 - surface.normals[i] @ surface.normals[j]
                window = torch.exp(-(offset @ offset) * stretch**2 / (2 * SIGMA**2))
                local = surface.frames[i] @ offset / (math.sqrt(2) * SIGMA)
                hidden = F.relu(weights["cuts.weight"] @ local + weights["cuts.bias"])
                kernel = F.relu(weights["filter.weight"] @ hidden + weights["filter.bias"])
                total = total + window * kernel * values[j]
        sums.append(total)
    out = plain_mlp(torch.stack(sums), weights, "out")
    return plain_group_norm(out, surface.protein, weights["out_norm.weight"], weights["out_norm.bias"])


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_frames_are_those_of_plain_loops(dtype: torch.dtype, tolerance: float) -> None:
    surface, scores = make_surface((20, 7), dtype)
    torch.testing.assert_close(surface.frames, plain_frames(surface, scores), atol=tolerance, rtol=0)
    gram = surface.frames @ surface.frames.transpose(1, 2)
    torch.testing.assert_close(gram, torch.eye(3, dtype=dtype).expand_as(gram), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("elements", [2**22, 300])
def test_convolution_is_that_of_plain_loops(
    dtype: torch.dtype, tolerance: float, elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether all rows at once or a few, and the gradients too."""
    monkeypatch.setattr(convolution_module, "_ELEMENTS", elements)
    torch.manual_seed(0)
    layer = QuasiGeodesicConvolution(6, 8, 12).to(dtype)
    surface, _ = make_surface((20, 7), dtype)
    features = torch.randn(27, 6, dtype=dtype)
    weights = dict(layer.named_parameters())
    expected, result = plain_convolution(surface, features, weights), layer(surface, features)
    torch.testing.assert_close(result, expected, atol=tolerance, rtol=tolerance)
    with torch.no_grad():
        torch.testing.assert_close(layer(surface, features), result.detach(), atol=tolerance, rtol=0)
    if dtype == torch.float64:
        probe = torch.randn_like(result)
        wanted = torch.autograd.grad(expected, list(weights.values()), probe)
        given = torch.autograd.grad(result, list(weights.values()), probe)
        for name, one, other in zip(weights, given, wanted, strict=True):
            torch.testing.assert_close(one, other, atol=1e-9, rtol=1e-9, msg=lambda text, name=name: f"{name}: {text}")


def test_norm_is_that_of_each_protein_alone() -> None:
    norm = ProteinGroupNorm(8, 4).double()
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    values, protein = 5 + torch.randn(12, 8, dtype=torch.float64), torch.tensor([0] * 7 + [1] * 4 + [2])
    expected = plain_group_norm(values, protein, norm.weight, norm.bias)
    torch.testing.assert_close(norm(values, protein), expected, atol=1e-12, rtol=0)


def test_a_lone_point_has_no_direction_and_no_nan() -> None:
    proteins: ProteinBatch = builders.make_proteins((1, 3))
    proteins.points[1:] = proteins.points[1]
    scores = torch.ones(4, dtype=torch.float64, requires_grad=True)
    surface = FramedSurface.of(proteins.points, proteins.normals, proteins.point_protein, scores, SIGMA)
    surface.frames.sum().backward()
    assert torch.isfinite(surface.frames).all()
    assert torch.isfinite(scores.grad).all()
