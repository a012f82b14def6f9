"""Speed of the experts: against double backward, the bare matrix products, themselves compiled, and with more experts.

Medians of pairs run in turn, so that a machine whose speed drifts does not favour either: of the process' CPU time, or
of the time by the clock until a GPU is done. Nothing is asserted about time; both members of a pair must agree in what
they compute.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import builders
import pytest
import torch

from moedsr.batches.batch import TrainingBatch
from moedsr.models.experts.body import ExpertBody
from moedsr.models.experts.products import linear
from moedsr.models.moedsr import MoEDSR

pytestmark = pytest.mark.benchmark

POINTS, REPEATS = {"cpu": 1000, "cuda": 20_000}, 7
CPU_AND_GPU = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def make(
    experts: int, hidden_size: int = 512, layers: int = 8, *, device: str = "cpu", precision: str = "float32"
) -> tuple[MoEDSR, TrainingBatch]:
    config = builders.small_config()
    sizes = {"count": experts, "hidden_size": hidden_size, "hidden_layers": layers, "harmonic_channels": 16}
    expert = config.expert.model_copy(update=sizes | {"matmul_precision": precision})
    torch.manual_seed(0)
    batch = builders.make_batch((40, 40), experts=experts, frames=1)
    batch = replace(batch, surface_points=torch.randn(2, 1, POINTS[device], 3) * 0.4)
    return MoEDSR(config.model_copy(update={"expert": expert}), 2).to(device), batch.to(device, torch.float32)


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


def seconds(device: str) -> float:
    """By the clock that counts there."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def compare(
    first: Callable[[], object], second: Callable[[], object], device: str = "cpu", repeats: int = REPEATS
) -> tuple[float, float]:
    """Median seconds of each, run in turn after one warm-up."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(repeats + 1):
        for function, kept in zip((first, second), times, strict=True):
            started = seconds(device)
            function()
            if number:
                kept.append(seconds(device) - started)
    return statistics.median(times[0]), statistics.median(times[1])


@pytest.mark.parametrize("device", CPU_AND_GPU)
def test_explicit_gradient_against_double_backward(device: str, capsys: pytest.CaptureFixture[str]) -> None:
    model, batch = make(experts=4, device=device)
    torch.testing.assert_close(explicit(model, batch), double_backward(model, batch))
    ours, theirs = compare(lambda: explicit(model, batch), lambda: double_backward(model, batch), device)
    with capsys.disabled():
        print(f"\n{device}, 8x512, 2 proteins x {POINTS[device]} points, top 2 of 4, float32: explicit {ours:.4f} s,")
        print(f"  double backward {theirs:.4f} s: {theirs / ours:.2f} times as fast")


@pytest.mark.parametrize(
    ("device", "precision"),
    [("cpu", "float32"), *(pytest.param("cuda", way, marks=pytest.mark.gpu) for way in ("float32", "tf32"))],
)
def test_against_the_matrix_products(device: str, precision: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Six products of every layer are the least that value, gradient and their backward need."""
    model, batch = make(experts=4, device=device, precision=precision)
    rows, width = 2 * 2 * POINTS[device], 512
    left, right = torch.randn(rows // 2, width, device=device), torch.randn(width, width, device=device)

    def products() -> None:
        for _ in range(2 * 6 * 7):
            linear(left, right, tf32=precision == "tf32")

    step, bare = compare(lambda: explicit(model, batch), products, device)
    with capsys.disabled():
        rate = 2 * 6 * 7 * rows / 2 * 2 * width * width / bare / 1e9
        print(f"\n{device}, {precision}: step {step:.4f} s, its hidden layers' products alone {bare:.4f} s", end="")
        print(f" ({rate:.0f} GFLOP/s):\n  the step runs at {bare / step:.2f} of that rate")


@pytest.mark.parametrize("device", CPU_AND_GPU)
def test_more_experts_cost_nothing(device: str, capsys: pytest.CaptureFixture[str]) -> None:
    few, many = (make(experts=count, device=device, precision="tf32") for count in (4, 16))
    first, second = compare(lambda: explicit(*many), lambda: explicit(*few), device)
    with capsys.disabled():
        print(f"\n{device}: 16 experts {first:.4f} s, 4 experts {second:.4f} s: ratio {first / second:.2f}")


@pytest.mark.parametrize(
    ("device", "precision", "hidden_size", "layers"),
    [
        ("cpu", "float32", 512, 8),
        ("cpu", "float32", 128, 4),
        pytest.param("cuda", "float32", 512, 8, marks=pytest.mark.gpu),
        pytest.param("cuda", "tf32", 512, 8, marks=pytest.mark.gpu),
    ],
)
def test_compiled(
    device: str,
    precision: str,
    hidden_size: int,
    layers: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The compiler cannot follow a switch around single products: it is set for all of them here."""
    if precision == "tf32":
        monkeypatch.setattr(torch.backends.cuda.matmul, "fp32_precision", "tf32")
    model, batch = make(experts=4, hidden_size=hidden_size, layers=layers, device=device)
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
    torch.testing.assert_close(step("compiled"), step("eager"), rtol=1e-3 if precision == "tf32" else 1e-5, atol=1e-5)
    wait = time.monotonic() - started
    eager, compiled = compare(lambda: step("eager"), lambda: step("compiled"), device)
    with capsys.disabled():
        print(
            f"\n{device}, {precision}, {layers}x{hidden_size}: eager {eager:.4f} s, compiled {compiled:.4f} s", end=""
        )
        print(f" after {wait:.0f} s of compiling:\n  {eager / compiled:.2f} times as fast")
