"""Whole training steps: on a GPU against one core, and at the paper's size.

A step is what the trainer does with a batch that has been read: router, experts, losses, backward pass, optimiser.
Clouds are random; their size, the experts and the numbers of points are what they should be.
"""

import statistics
from collections.abc import Callable
from dataclasses import replace

import builders
import pytest
import torch
from benchmarks.test_experts import seconds

from moedsr.batches.batch import TrainingBatch
from moedsr.config import Config, DataConfig, ExpertConfig, RouterConfig
from moedsr.models.moedsr import MoEDSR
from moedsr.training.losses import training_losses
from moedsr.training.optimisation import make_optimiser

pytestmark = [pytest.mark.benchmark, pytest.mark.gpu]

REPEATS = 5
PAPER = Config(
    data=DataConfig(source="mini-atlas"), router=RouterConfig(cloud_points=1024), expert=ExpertConfig(kind="plain")
)
QUICKSTART = PAPER.model_copy(
    update={
        "router": builders.small_config().router.model_copy(update={"cloud_points": 128, "hidden_channels": 16}),
        "expert": ExpertConfig(kind="anchored", hidden_layers=3, hidden_size=32, latent_size=0, softplus_beta=5.0),
    }
)


def make_batch(config: Config, proteins: int, points: int) -> TrainingBatch:
    """Of one frame each, with 1.125 times as many points off the surface as on it."""
    batch = builders.make_batch((config.router.cloud_points,) * proteins, experts=config.expert.count, frames=1)
    random = torch.Generator().manual_seed(0)

    def cube(count: int) -> torch.Tensor:
        return torch.rand(proteins, 1, count, 3, generator=random, dtype=torch.float64) * 2 - 1

    return replace(
        batch,
        surface_points=cube(points),
        surface_normals=torch.nn.functional.normalize(cube(points), dim=-1),
        off_surface_points=cube(points + points // 8),
    )


def stepper(config: Config, batch: TrainingBatch, device: str, precision: str = "tf32") -> Callable[[], float]:
    """Takes one step, and gives its loss."""
    torch.manual_seed(0)
    expert = config.expert.model_copy(update={"matmul_precision": precision})
    config = config.model_copy(update={"expert": expert})
    model, batch = MoEDSR(config, len(batch.time)).to(device), batch.to(device, torch.float32)
    optimiser = make_optimiser(model, config.training)

    def step() -> float:
        losses = training_losses(model(batch), batch, config.loss)
        optimiser.zero_grad(set_to_none=True)
        losses.total.backward()
        optimiser.step()
        return float(losses.total)

    return step


def timed(step: Callable[[], float], device: str, repeats: int) -> float:
    """Median seconds after one step of warming up."""
    times = []
    for number in range(repeats + 1):
        started = seconds(device)
        step()
        if number:
            times.append(seconds(device) - started)
    return statistics.median(times)


@pytest.mark.parametrize("precision", ["tf32", "float32"])
def test_at_the_papers_size(precision: str, capsys: pytest.CaptureFixture[str]) -> None:
    """16 proteins of 1024 points, one frame of 5000 + 5625 points each, top 2 of 4 experts of 8 layers of 512."""
    step = stepper(PAPER, make_batch(PAPER, 16, 5000), "cuda", precision)
    torch.cuda.reset_peak_memory_stats()
    took = timed(step, "cuda", REPEATS)
    peak = torch.cuda.max_memory_allocated() / 2**30
    with capsys.disabled():
        name = torch.cuda.get_device_name()
        print(f"\n{name}, {precision}: a step {took:.3f} s, {16 * 10_625 / took:.3g} points/s, peak {peak:.1f} GiB")


@pytest.mark.parametrize(
    ("name", "config", "proteins", "points"), [("quickstart", QUICKSTART, 4, 64), ("the paper's", PAPER, 2, 1000)]
)
def test_against_one_core(
    name: str, config: Config, proteins: int, points: int, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.set_num_threads(1)
    batch = make_batch(config, proteins, points)
    steps = {device: stepper(config, batch, device) for device in ("cpu", "cuda")}
    assert steps["cuda"]() == pytest.approx(steps["cpu"](), rel=0.02)
    core, gpu = timed(steps["cpu"], "cpu", 3), timed(steps["cuda"], "cuda", 20)
    with capsys.disabled():
        print(f"\n{name} model, {proteins} proteins x {points + points + points // 8} points:", end=" ")
        print(f"a core {core:.4f} s, {torch.cuda.get_device_name()} {gpu:.4f} s: {core / gpu:.1f} times as fast")
