"""Conformance of every kind of expert, and what only the plain one is."""

from collections.abc import Callable

import pytest
import torch

from moedsr.batch import ProteinBatch, TrainingBatch
from moedsr.config import Config, ExpertConfig
from moedsr.models.experts import EXPERTS, PlainExperts
from moedsr.models.moedsr import MoEDSR

MakeBatch = Callable[..., TrainingBatch]


def randomised(config: Config, proteins: int = 2) -> MoEDSR:
    """A model in float64 whose weights are nowhere zero, so that every input counts."""
    model = MoEDSR(config, proteins).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return model


@pytest.mark.parametrize("kind", EXPERTS)
@pytest.mark.parametrize("channels", [1, 3, 4, 9, 16])
def test_gradient_equals_autograd(kind: str, channels: int, small_config: Config, make_batch: MakeBatch) -> None:
    expert = small_config.expert.model_copy(update={"kind": kind, "harmonic_channels": channels})
    model = randomised(small_config.model_copy(update={"expert": expert}))
    batch = make_batch()
    points = batch.surface_points.requires_grad_()
    value, gradient = model.field(points, batch.time, model.context(batch.proteins))
    (expected,) = torch.autograd.grad(value.sum(), points)
    torch.testing.assert_close(gradient, expected, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("kind", EXPERTS)
def test_loss_gradients_equal_double_backward(kind: str, small_config: Config, make_batch: MakeBatch) -> None:
    """Parameter gradients of a loss on ∇f, against autograd through autograd."""
    expert = small_config.expert.model_copy(update={"kind": kind})
    model = randomised(small_config.model_copy(update={"expert": expert}))
    batch = make_batch()
    points = batch.surface_points.requires_grad_()
    value, gradient = model.field(points, batch.time, model.context(batch.proteins))
    (oracle,) = torch.autograd.grad(value.sum(), points, create_graph=True)
    weights = list(model.experts.parameters())
    explicit = torch.autograd.grad(gradient.square().sum(), weights, retain_graph=True, allow_unused=True)
    expected = torch.autograd.grad(oracle.square().sum(), weights, allow_unused=True)
    for ours, theirs in zip(explicit, expected, strict=True):
        if theirs is not None:
            torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("kind", EXPERTS)
def test_is_the_gated_sum_of_the_chosen_experts(kind: str, small_config: Config, make_batch: MakeBatch) -> None:
    expert = small_config.expert.model_copy(update={"kind": kind})
    model = randomised(small_config.model_copy(update={"expert": expert}))
    batch = make_batch()
    context = model.context(batch.proteins)
    value, _ = model.field(batch.surface_points, batch.time, context)
    untouched = set(range(small_config.expert.count)) - set(context.gates.experts.flatten().tolist())
    with torch.no_grad():
        for parameter in model.experts.parameters():
            for index in untouched:
                parameter[index] = torch.nan  # an expert that was not chosen must not compute
    again, _ = model.field(batch.surface_points, batch.time, context)
    torch.testing.assert_close(again, value, atol=0, rtol=0)


def test_value_alone_is_the_same(small_config: Config, make_batch: MakeBatch) -> None:
    model, batch = randomised(small_config), make_batch()
    context = model.context(batch.proteins)
    both, _ = model.field(batch.surface_points, batch.time, context)
    alone, none = model.field(batch.surface_points, batch.time, context, gradient=False)
    assert none is None
    torch.testing.assert_close(alone, both, atol=0, rtol=0)


@pytest.mark.parametrize(
    ("hidden_size", "layers", "channels", "margin"), [(512, 8, 16, 0.15), (256, 6, 3, 0.15), (64, 4, 9, 0.25)]
)
def test_starts_as_a_sphere(hidden_size: int, layers: int, channels: int, margin: float) -> None:
    """Geometric initialisation holds whatever the codes are: negative inside, positive at the corners, slope near 1."""
    torch.manual_seed(0)
    config = ExpertConfig(count=2, hidden_size=hidden_size, hidden_layers=layers, harmonic_channels=channels)
    experts = PlainExperts(config, protein_features=32)
    side = torch.randn(1, 1, 1 + 32 + config.latent_size)
    points = torch.rand(1, 1, 4000, 3) * 2 - 1
    for weights in experts._weights():
        value, gradient = experts._evaluate(weights, points, side, gradient=True)
        radius, length = points.norm(dim=-1), gradient.norm(dim=-1)
        sphere = radius - config.initial_radius
        clear = sphere.abs() > margin
        assert ((value > 0) == (sphere > 0))[clear].float().mean() > 0.99
        assert 0.75 < length.mean() < 1.25


def test_plain_is_not_equivariant(
    small_config: Config,
    make_batch: MakeBatch,
    turn: Callable[[ProteinBatch], tuple[ProteinBatch, torch.Tensor]],
) -> None:
    """The paper's claim fails: turning protein and query together changes the plain field by more than its spread."""
    model, batch = randomised(small_config), make_batch()
    turned, rotation = turn(batch.proteins)
    value, _ = model.field(batch.surface_points, batch.time, model.context(batch.proteins))
    other, _ = model.field(batch.surface_points @ rotation.T, batch.time, model.context(turned))
    assert (value - other).abs().max() > 0.1 * value.std()
