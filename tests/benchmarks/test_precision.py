"""What fewer bits in the products between hidden layers cost, imitated on a CPU, and on a GPU what they save.

Every way sees the same start and the same batches. Memorising one surface is the finest thing that experts are asked
for; proteins never met are held_out.py's (`--products tf32`).
"""

import copy
import statistics
from pathlib import Path

import builders
import pytest
import torch
from benchmarks.rounded_products import rounded_products
from benchmarks.test_experts import explicit, make

from moedsr.batch import TrainingBatch
from moedsr.data.prepare import prepare_serially
from moedsr.data.store import SurfaceStore
from moedsr.evaluation import Evaluator
from moedsr.models.moedsr import MoEDSR
from moedsr.trainer import Trainer, evaluated_proteins
from moedsr_platform.sweep_loading import load_run

pytestmark = pytest.mark.benchmark

SWEEPS = Path(builders.__file__).parents[1] / "sweeps"
WAYS = ("float32", "tf32", "tf32-cut", "bf16")
SCORES = ("iou", "chamfer_l1", "normal_consistency")


@pytest.mark.parametrize("kind", ["plain", "anchored"])
def test_values_and_normals(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the paper's experts, 8 layers of 512, with random weights: root mean square differences from float64."""
    model, batch = make(experts=4)
    expert = model.config.expert.model_copy(update={"kind": kind})
    torch.manual_seed(0)
    model = MoEDSR(model.config.model_copy(update={"expert": expert}), 2)
    torch.nn.init.normal_(model.experts.body.last.weight, std=0.05)
    exact = _evaluated(copy.deepcopy(model).double(), batch.to("cpu", torch.float64))
    with capsys.disabled():
        print(f"\n{kind}: value in Å, normal in degrees, gradient of the loss relative")
        for way in WAYS:
            with rounded_products(way):
                found = _evaluated(model, batch)
            value = (found[0] - exact[0]).square().mean().sqrt() * batch.proteins.scale.mean()
            cosine = torch.nn.functional.cosine_similarity(found[1].double(), exact[1], dim=-1)
            angle = torch.rad2deg(torch.acos(cosine.clamp(-1, 1)).square().mean().sqrt())
            slope = (found[2] - exact[2]).norm() / exact[2].norm()
            print(f"{way:8} {float(value):10.6f} {float(angle):8.4f} {float(slope):10.6f}")


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_memorising_a_surface(seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """sweeps/runs/one_protein_p0.yaml, half of its steps."""
    base = load_run(SWEEPS / "runs" / "one_protein_p0.yaml").base
    schedule = base.training.model_copy(update={"steps": 600, "seed": seed})
    config = base.model_copy(update={"training": schedule})
    assert config.data.source is not None
    store: SurfaceStore = prepare_serially(config.data.source, config.data.prepare, tmp_path / "store")
    for way in WAYS:
        trainer = Trainer(config, store, "cpu")
        with rounded_products(way):
            while trainer.step < schedule.steps:
                losses, _ = trainer.take_step()
        evaluation = Evaluator(store, evaluated_proteins(config, store), config).evaluate(
            trainer.average, trainer.codes
        )
        scores = evaluation.tracked()
        with capsys.disabled():
            row = "  ".join(f"{score} {scores[f'val/{score}']:.4f}" for score in SCORES)
            print(f"\nseed {seed} {way:8} loss {float(losses[0]):.5f}  {row}", end="")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_speed_on_a_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    """Training steps of the paper's experts on 2 proteins, 20,000 points each: medians of pairs run in turn."""
    seconds: dict[str, list[float]] = {"tf32": [], "float32": []}
    models = {}
    for way in seconds:
        model, batch = make(experts=4)
        expert = model.config.expert.model_copy(update={"matmul_precision": way})
        models[way] = MoEDSR(model.config.model_copy(update={"expert": expert}), 2).cuda()
    points = torch.randn(2, 1, 20_000, 3) * 0.4
    batch = type(batch)(**{**vars(batch), "surface_points": points}).to("cuda", torch.float32)
    for number in range(13):
        for way, model in models.items():
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            explicit(model, batch)
            end.record()
            torch.cuda.synchronize()
            if number > 2:
                seconds[way].append(start.elapsed_time(end) / 1000)
    tf32, full = (statistics.median(times) for times in seconds.values())
    with capsys.disabled():
        name = torch.cuda.get_device_name()
        print(f"\n{name}: tf32 {tf32:.4f} s, float32 {full:.4f} s: {full / tf32:.2f} times as fast")


def _evaluated(model: MoEDSR, batch: TrainingBatch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Value, gradient, and the gradient of a loss by the experts' weights."""
    model.zero_grad()
    value, gradient = model.field(batch.surface_points, batch.time, model.context(batch.proteins))
    assert gradient is not None
    (value.abs().mean() + (gradient.norm(dim=-1) - 1).square().mean()).backward()
    weights = [p.grad.flatten() for p in model.experts.parameters() if p.grad is not None]
    return value.detach(), gradient.detach(), torch.cat(weights).double()
