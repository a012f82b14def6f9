"""Conformance of every kind of expert, and what only the plain one is."""

from collections.abc import Callable

import builders
import pytest
import torch

from moedsr.batches.batch import ProteinBatch, TrainingBatch
from moedsr.config import Config, ExpertConfig
from moedsr.errors import InputError
from moedsr.models.experts import EXPERTS, EquivariantExperts
from moedsr.models.experts.initial_distance import initial_distance
from moedsr.models.moedsr import MoEDSR
from moedsr.models.router.encoders import RouterWidths

MakeBatch = Callable[..., TrainingBatch]
Turn = Callable[[ProteinBatch], tuple[ProteinBatch, torch.Tensor]]

KINDS: dict[str, dict[str, object]] = {
    **{kind: {"kind": kind} for kind in EXPERTS},
    **{f"{kind} alone": {"kind": kind, "count": 1} for kind in ("plain", "anchored", "dsr")},
}
"""Every kind, and those that work without a router."""

INVARIANT = [kind for kind in KINDS if not kind.startswith(("plain", "dsr"))]


def configured(config: Config, kind: str, **changes: object) -> Config:
    """The configuration with experts of that kind, behind a router of l_max 2, or one alone without any."""
    expert = config.expert.model_copy(update=KINDS[kind] | changes)
    router = {"backbone": "none"} if expert.count == 1 else {"l_max": 2}
    return config.model_copy(
        update={
            "expert": expert,
            "router": config.router.model_copy(update=router),
            "gate": config.gate.model_copy(update={"top_k": min(2, expert.count)}),
        }
    )


def randomised(config: Config, proteins: int = 2) -> MoEDSR:
    """A model in float64 whose weights are nowhere zero, so that every input counts."""
    model = MoEDSR(config, proteins).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return model


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [1, 3, 4, 9, 16])
def test_gradient_equals_autograd(kind: str, channels: int, small_config: Config, make_batch: MakeBatch) -> None:
    model = randomised(configured(small_config, kind, harmonic_channels=channels))
    batch = make_batch()
    points = batch.surface_points.requires_grad_()
    value, gradient = model.field(points, batch.time, model.context(batch.proteins))
    (expected,) = torch.autograd.grad(value.sum(), points)
    torch.testing.assert_close(gradient, expected, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_loss_gradients_equal_double_backward(kind: str, small_config: Config, make_batch: MakeBatch) -> None:
    """Parameter gradients of a loss on ∇f, against autograd through autograd."""
    model = randomised(configured(small_config, kind))
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


@pytest.mark.parametrize("kind", KINDS)
def test_is_the_gated_sum_of_the_chosen_experts(kind: str, small_config: Config, make_batch: MakeBatch) -> None:
    model = randomised(configured(small_config, kind))
    batch = make_batch()
    context = model.context(batch.proteins)
    value, _ = model.field(batch.surface_points, batch.time, context)
    untouched = set(range(model.config.expert.count)) - set(context.gates.experts.flatten().tolist())
    with torch.no_grad():
        for parameter in model.experts.parameters():
            for index in untouched:
                parameter[index] = torch.nan  # an expert that was not chosen must not compute
    again, _ = model.field(batch.surface_points, batch.time, context)
    torch.testing.assert_close(again, value, atol=0, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_value_alone_is_the_same(kind: str, small_config: Config, make_batch: MakeBatch) -> None:
    model, batch = randomised(configured(small_config, kind)), make_batch()
    context = model.context(batch.proteins)
    both, _ = model.field(batch.surface_points, batch.time, context)
    alone, none = model.field(batch.surface_points, batch.time, context, gradient=False)
    assert none is None
    # anchored experts blend features in a smaller product then, whose sums may round otherwise
    torch.testing.assert_close(alone, both, atol=1e-15 if "anchored" in KINDS[kind].values() else 0, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_batch_mates_do_not_matter(kind: str, small_config: Config, make_batch: MakeBatch) -> None:
    model, batch = randomised(configured(small_config, kind)), make_batch()
    both, _ = model.field(batch.surface_points, batch.time, model.context(batch.proteins))
    own = builders.select_batch(batch, [1])
    alone, _ = model.field(own.surface_points, own.time, model.context(own.proteins))
    torch.testing.assert_close(alone, both[1:], atol=1e-10, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sizes", [(1,), (60, 1)])
def test_tiny_clouds_and_points_on_points(
    kind: str, sizes: tuple[int, ...], small_config: Config, make_batch: MakeBatch
) -> None:
    """Clouds of one point; queries at the centre, on a cloud point, far away: finite, and so are the gradients."""
    model, batch = randomised(configured(small_config, kind)), make_batch(sizes)
    points = batch.surface_points
    points[:, :, 0] = 0
    points[:, :, 1] = batch.proteins.points[0] / batch.proteins.scale[0]
    points[:, :, 2] = 50
    value, gradient = model.field(points, batch.time, model.context(batch.proteins))
    assert torch.isfinite(value).all()
    assert torch.isfinite(gradient).all()
    (value.sum() + gradient.square().sum()).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("kind", INVARIANT)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-10)])
def test_turns_and_moves_with_the_protein(
    kind: str, dtype: torch.dtype, tolerance: float, small_config: Config, make_batch: MakeBatch, turn: Turn
) -> None:
    torch.manual_seed(0)
    model, batch = randomised(configured(small_config, kind, harmonic_channels=9)), make_batch()
    turned, rotation = turn(batch.proteins)
    shift = (turned.centre - batch.proteins.centre @ rotation.T) / batch.proteins.scale[:, None]
    points = batch.surface_points @ rotation.T + shift[:, None, None]
    model = model.to(dtype)
    value, slope = model.field(
        batch.surface_points.to(dtype), batch.time.to(dtype), model.context(batch.proteins.to("cpu", dtype))
    )
    other, other_slope = model.field(points.to(dtype), batch.time.to(dtype), model.context(turned.to("cpu", dtype)))
    assert value.std() > 0.01
    torch.testing.assert_close(other, value, atol=tolerance, rtol=0)
    rotated = slope @ rotation.T.to(dtype)
    if dtype == torch.float64:  # of random weights, in float32 the slopes reach hundreds
        torch.testing.assert_close(other_slope, rotated, atol=1e-9, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_learns(kind: str, small_config: Config, make_batch: MakeBatch) -> None:
    model, batch = randomised(configured(small_config, kind)), make_batch()
    prediction = model(batch)
    (prediction.surface_value.square().sum() + prediction.off_surface_gradient.square().sum()).backward()
    chosen = prediction.context.gates.experts.unique()
    silent = [
        name for name, p in model.experts.named_parameters() if p.grad is None or not p.grad[chosen].abs().max() > 0
    ]
    assert silent == []


@pytest.mark.parametrize("kind", ["plain", "equivariant"])
@pytest.mark.parametrize(
    ("hidden_size", "layers", "channels", "margin"), [(512, 8, 16, 0.15), (256, 6, 3, 0.15), (64, 4, 9, 0.25)]
)
def test_starts_as_a_sphere(
    kind: str,
    hidden_size: int,
    layers: int,
    channels: int,
    margin: float,
    small_config: Config,
    make_proteins: Callable[..., ProteinBatch],
) -> None:
    """Geometric initialisation holds whatever the codes are: negative inside, positive at the corners, slope near 1."""
    torch.manual_seed(0)
    expert = ExpertConfig(kind=kind, count=2, hidden_size=hidden_size, hidden_layers=layers, harmonic_channels=channels)
    router = small_config.router.model_copy(update={"l_max": 3})
    model = MoEDSR(small_config.model_copy(update={"expert": expert, "router": router}), 1)
    proteins = make_proteins((60,)).to("cpu", torch.float32)
    points = torch.rand(1, 1, 4000, 3) * 2 - 1
    centre = proteins.centre / proteins.scale[:, None] if kind == "equivariant" else torch.zeros(1, 3)
    value, gradient = model.field(points + centre[:, None, None], torch.zeros(1, 1), model.context(proteins))
    sphere = points.norm(dim=-1) - expert.initial_radius
    clear = sphere.abs() > margin
    assert ((value > 0) == (sphere > 0))[clear].float().mean() > 0.99
    assert 0.75 < gradient.norm(dim=-1).mean() < 1.25


@pytest.mark.parametrize("kind", ["plain", "dsr"])
def test_plain_is_not_equivariant(kind: str, small_config: Config, make_batch: MakeBatch, turn: Turn) -> None:
    """The paper's claim fails: turning protein and query together changes the plain field by more than its spread."""
    model, batch = randomised(configured(small_config, kind)), make_batch()
    turned, rotation = turn(batch.proteins)
    value, _ = model.field(batch.surface_points, batch.time, model.context(batch.proteins))
    other, _ = model.field(batch.surface_points @ rotation.T, batch.time, model.context(turned))
    assert (value - other).abs().max() > 0.1 * value.std()


def test_equivariant_tells_orientation(small_config: Config, make_batch: MakeBatch, turn: Turn) -> None:
    """Invariance must not come from spheres: with the protein turned alone, the field is another one."""
    model, batch = randomised(configured(small_config, "equivariant")), make_batch()
    turned, _ = turn(batch.proteins)
    value, _ = model.field(batch.surface_points, batch.time, model.context(batch.proteins))
    other, _ = model.field(batch.surface_points, batch.time, model.context(turned))
    assert (value - other).abs().max() > 0.1 * value.std()


@pytest.mark.parametrize(
    ("equivariant", "channels", "message"),
    [
        ((), 9, "needs a router.backbone"),
        ((8,), 9, "router.l_max is 0, but must be at least 1"),
        ((8,), 3, "l_max is 0"),
    ],
)
def test_equivariant_refuses_a_blind_router(equivariant: tuple[int, ...], channels: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        EquivariantExperts(
            ExpertConfig(harmonic_channels=channels), router=RouterWidths(code=8, equivariant=equivariant)
        )


def test_unknown_kind_names_the_nearest(small_config: Config) -> None:
    expert = small_config.expert.model_copy(update={"kind": "anchord"})
    with pytest.raises(InputError, match=r"expert\.kind is `anchord`.*anchored.*must be one of anchored, dsr, equi"):
        MoEDSR(small_config.model_copy(update={"expert": expert}), 1)


def test_equivariant_says_which_degrees_it_leaves_out(caplog: pytest.LogCaptureFixture) -> None:
    experts = EquivariantExperts(
        ExpertConfig(harmonic_channels=16, hidden_size=8), router=RouterWidths(code=8, equivariant=(8, 12))
    )
    assert experts.harmonics.channels == 4
    assert "harmonic_channels 16 has degrees up to 3, but router.l_max is 1" in caplog.text


def test_anchored_is_p0_at_the_start(small_config: Config, make_batch: MakeBatch) -> None:
    """At t = -1 whatever the weights are, and at initialisation whatever the time is."""
    batch = make_batch()
    proteins, points = batch.proteins, batch.surface_points
    positions = points.flatten(1, 2) * proteins.scale[:, None, None]
    distance, slope = initial_distance(proteins.initial_distances, torch.arange(2), positions)
    fresh = MoEDSR(configured(small_config, "anchored"), 2).double()
    trained, start = randomised(configured(small_config, "anchored")), torch.full_like(batch.time, -1)
    for model, time in ((fresh, batch.time), (trained, start)):
        value, gradient = model.field(points, time, model.context(proteins))
        expected = (distance / proteins.scale[:, None]).view_as(value)
        torch.testing.assert_close(value, expected, atol=1e-12, rtol=0)
        torch.testing.assert_close(gradient, slope.view_as(gradient), atol=1e-12, rtol=0)
    value, _ = trained.field(points, batch.time, trained.context(proteins))
    assert (value - expected).abs().max() > 1e-3


def test_anchored_has_no_jumps(small_config: Config, make_batch: MakeBatch) -> None:
    """Along a path past many cloud points, value and gradient change as little as the step is short."""
    model, batch = randomised(configured(small_config, "anchored")), builders.select_batch(make_batch(), [0])
    context = model.context(batch.proteins)
    ends = torch.tensor([[-0.8, 0.3, 0.2], [0.9, 0.5, -0.1]], dtype=torch.float64)
    steps = []
    for count in (3_001, 30_001):
        path = torch.lerp(ends[0], ends[1], torch.linspace(0, 1, count, dtype=torch.float64)[:, None])
        with torch.no_grad():
            value, gradient = model.field(path[None, None], batch.time[:, :1], context)
        steps.append([value.diff().abs().max(), gradient.diff(dim=2).abs().max()])
    (coarse, coarse_slope), (fine, fine_slope) = steps
    assert fine < 0.15 * coarse
    assert fine_slope < 0.2 * coarse_slope
