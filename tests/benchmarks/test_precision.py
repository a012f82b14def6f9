"""What fewer bits in the products between hidden layers cost, imitated on a CPU, and on a GPU what they save.

Every way sees the same start and the same batches. Memorising one surface is the finest thing that experts are asked
for; proteins never met are held_out.py's (`--products tf32`).
"""

import copy
from pathlib import Path

import builders
import pytest
import torch
from benchmarks.rounded_products import rounded_products
from benchmarks.test_experts import POINTS, compare, explicit, make

from moedsr.batches.batch import TrainingBatch
from moedsr.evaluation.evaluation import Evaluator
from moedsr.models.moedsr import MoEDSR
from moedsr.store.prepare import prepare_serially
from moedsr.store.store import SurfaceStore
from moedsr.training.trainer import Trainer, evaluated_proteins
from moedsr_platform.sweep_file.loading import load_run

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


@pytest.mark.gpu
def test_speed_on_a_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    """Training steps of the paper's experts."""
    tf32, full = (make(experts=4, device="cuda", precision=way) for way in ("tf32", "float32"))
    rounded, exact = compare(lambda: explicit(*tf32), lambda: explicit(*full), "cuda")
    with capsys.disabled():
        print(f"\n{torch.cuda.get_device_name()}, 2 proteins x {POINTS['cuda']} points:", end=" ")
        print(f"tf32 {rounded:.4f} s, float32 {exact:.4f} s: {exact / rounded:.2f} times as fast")


def _evaluated(model: MoEDSR, batch: TrainingBatch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Value, gradient, and the gradient of a loss by the experts' weights."""
    model.zero_grad()
    value, gradient = model.field(batch.surface_points, batch.time, model.context(batch.proteins))
    assert gradient is not None
    (value.abs().mean() + (gradient.norm(dim=-1) - 1).square().mean()).backward()
    weights = [p.grad.flatten() for p in model.experts.parameters() if p.grad is not None]
    return value.detach(), gradient.detach(), torch.cat(weights).double()
