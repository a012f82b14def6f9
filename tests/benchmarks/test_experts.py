"""Speed of the experts: against double backward, the bare matrix products, themselves compiled, and with more experts.

Medians of the process' CPU time in pairs run in turn, so that a machine whose speed drifts does not favour either.
Nothing is asserted about time; both members of a pair must agree in what they compute.
"""

import statistics
import time
from collections.abc import Callable

import builders
import pytest
import torch

from moedsr.batch import TrainingBatch
from moedsr.models.experts.body import ExpertBody
from moedsr.models.moedsr import MoEDSR

pytestmark = pytest.mark.benchmark

POINTS, REPEATS = 1000, 7


def make(experts: int, hidden_size: int = 512, layers: int = 8) -> tuple[MoEDSR, TrainingBatch]:
    config = builders.small_config()
    expert = config.expert.model_copy(
        update={"count": experts, "hidden_size": hidden_size, "hidden_layers": layers, "harmonic_channels": 16}
    )
    torch.manual_seed(0)
    batch = builders.make_batch((40, 40), experts=experts, frames=1).to("cpu", torch.float32)
    values = {name: getattr(batch, name) for name in batch.__dataclass_fields__}
    values["surface_points"] = torch.randn(2, 1, POINTS, 3) * 0.4
    return MoEDSR(config.model_copy(update={"expert": expert}), 2), TrainingBatch(**values)


def explicit(model: MoEDSR, batch: TrainingBatch) -> torch.Tensor:
    value, gradient = model.field(batch.surface_points, batch.time, model.context(batch.proteins))
    assert gradient is not None
    loss = value.abs().mean() + (gradient.norm(dim=-1) - 1).square().mean()
    loss.backward()
    return loss


def double_backward(model: MoEDSR, batch: TrainingBatch) -> torch.Tensor:
    points = batch.surface_points.detach().requires_grad_()
    value, _ = model.field(points, batch.time, model.context(batch.proteins), gradient=False)
    (gradient,) = torch.autograd.grad(value.sum(), points, create_graph=True)
    loss = value.abs().mean() + (gradient.norm(dim=-1) - 1).square().mean()
    loss.backward()
    return loss


def compare(first: Callable[[], object], second: Callable[[], object]) -> tuple[float, float]:
    """Median CPU seconds of each, run in turn after one warm-up."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(REPEATS + 1):
        for function, kept in zip((first, second), times, strict=True):
            started = time.process_time()
            function()
            if number:
                kept.append(time.process_time() - started)
    return statistics.median(times[0]), statistics.median(times[1])


def test_explicit_gradient_against_double_backward(capsys: pytest.CaptureFixture[str]) -> None:
    model, batch = make(experts=4)
    torch.testing.assert_close(explicit(model, batch), double_backward(model, batch))
    ours, theirs = compare(lambda: explicit(model, batch), lambda: double_backward(model, batch))
    with capsys.disabled():
        print(
            f"\n8x512, 2 proteins x {POINTS} points, top 2 of 4: explicit {ours:.3f} s, double backward {theirs:.3f} s,"
        )
        print(f"  {theirs / ours:.2f} times as fast")


def test_against_the_matrix_products(capsys: pytest.CaptureFixture[str]) -> None:
    """Six products of every layer are the least that value, gradient and their backward need."""
    model, batch = make(experts=4)
    rows, width = 2 * 2 * POINTS, 512
    left, right = torch.randn(rows // 2, width), torch.randn(width, width)

    def products() -> None:
        for _ in range(2 * 6 * 7):
            left @ right

    step, bare = compare(lambda: explicit(model, batch), products)
    with capsys.disabled():
        rate = 2 * 6 * 7 * rows / 2 * 2 * width * width / bare / 1e9
        print(f"\nstep {step:.3f} s, its hidden layers' products alone {bare:.3f} s ({rate:.0f} GFLOP/s):")
        print(f"  the step runs at {bare / step:.2f} of that rate")


def test_more_experts_cost_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    few, many = make(experts=4), make(experts=16)
    first, second = compare(lambda: explicit(*many), lambda: explicit(*few))
    with capsys.disabled():
        print(f"\n16 experts {first:.3f} s, 4 experts {second:.3f} s: ratio {first / second:.2f}")


@pytest.mark.parametrize(("hidden_size", "layers"), [(512, 8), (128, 4)])
def test_compiled(hidden_size: int, layers: int, capsys: pytest.CaptureFixture[str]) -> None:
    model, batch = make(experts=4, hidden_size=hidden_size, layers=layers)
    body = model.experts.body
    ways = {
        "eager": (body.forward, body.reverse),
        "compiled": (
            torch.compile(ExpertBody.forward, dynamic=False).__get__(body),
            torch.compile(ExpertBody.reverse, dynamic=False).__get__(body),
        ),
    }

    def step(way: str) -> torch.Tensor:
        body.forward, body.reverse = ways[way]
        return explicit(model, batch)

    started = time.monotonic()
    torch.testing.assert_close(step("compiled"), step("eager"))
    wait = time.monotonic() - started
    eager, compiled = compare(lambda: step("eager"), lambda: step("compiled"))
    with capsys.disabled():
        print(
            f"\n{layers}x{hidden_size}: eager {eager:.3f} s, compiled {compiled:.3f} s after {wait:.0f} s of compiling:"
        )
        print(f"  {eager / compiled:.2f} times as fast")
