"""On a GPU everything is what it is on a CPU, but for rounding."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import builders
import pytest
import torch

from moedsr.batches.batch import CloudPairs, ProteinBatch, TrainingBatch
from moedsr.config import Config
from moedsr.geometry.neighbours import farthest_points_of_each, nearest, pairs_within
from moedsr.geometry.quasi_geodesic import quasi_geodesic_pairs
from moedsr.inference.inference import SurfacePredictor
from moedsr.models.experts import EXPERTS
from moedsr.models.moedsr import MoEDSR
from moedsr.models.router.encoders import ENCODERS
from moedsr.models.router.encoders.q_mpnn import QMPNN
from moedsr.store.store import SurfaceStore
from moedsr.train import TrainingReport, train
from moedsr.training.losses import training_losses
from moedsr.training.trainer import Trainer
from moedsr_platform.trial.failure_reason import reason_of
from moedsr_platform.trial.system_metrics import SystemMetrics

pytestmark = pytest.mark.gpu

DEVICE = "cuda"
ROUNDING = 1e-5
"""Normalised. With these models a CPU's float32 is at most 1e-6 from float64, and TensorFloat-32 about 1e-3."""


def make_model(config: Config, **expert: object) -> MoEDSR:
    """With nothing left at its start, where some weights are zero."""
    changed = config.model_copy(update={"expert": config.expert.model_copy(update=expert)})
    torch.manual_seed(0)
    model = MoEDSR(changed, 2)
    for layer in (model.experts.body.first_side, model.experts.body.skip_side, model.experts.body.last):
        torch.nn.init.normal_(layer.weight, std=0.3)
    return model


def field_of(model: MoEDSR, batch: TrainingBatch, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Value and gradient, on the CPU."""
    batch = batch.to(device, torch.float32)
    value, gradient = model.to(device).field(batch.surface_points, batch.time, model.context(batch.proteins))
    assert gradient is not None
    return value.detach().cpu(), gradient.detach().cpu()


@pytest.mark.parametrize("kind", EXPERTS)
def test_value_and_normal(kind: str, small_config: Config) -> None:
    model, batch = make_model(small_config, kind=kind, softplus_beta=10.0).eval(), builders.make_batch()
    there, here = field_of(model, batch, DEVICE), field_of(model, batch, "cpu")
    torch.testing.assert_close(there[0], here[0], atol=ROUNDING, rtol=ROUNDING)
    torch.testing.assert_close(there[1], here[1], atol=10 * ROUNDING, rtol=10 * ROUNDING)


@pytest.mark.parametrize("backbone", ENCODERS)
def test_routing_and_loss_of_every_backbone(backbone: str, small_config: Config) -> None:
    router = small_config.router.model_copy(update={"backbone": backbone, "l_max": 2})
    model = make_model(small_config.model_copy(update={"router": router})).double()
    found = []
    for device in (DEVICE, "cpu"):
        batch = builders.make_batch((200, 120)).to(device)
        prediction = model.to(device)(batch)
        total = training_losses(prediction, batch, small_config.loss).total
        slopes = torch.autograd.grad(total, list(model.parameters()), allow_unused=True)
        found.append([total.detach().cpu(), *(slope.cpu() for slope in slopes if slope is not None)])
    # float64, in which only the order of sums differs
    torch.testing.assert_close(found[0], found[1], atol=1e-9, rtol=1e-9)


def test_tensor_float_is_for_training_alone(small_config: Config) -> None:
    batch = builders.make_batch((60, 40))
    points = torch.randn(2, 1, 2000, 3, generator=torch.Generator().manual_seed(0)) * 0.4
    batch = replace(batch, surface_points=points, time=batch.time[:, :1])
    values = {
        (precision, training): field_of(
            make_model(small_config, hidden_size=128, matmul_precision=precision).train(training), batch, DEVICE
        )[0]
        for precision in ("tf32", "float32")
        for training in (True, False)
    }
    exact = values["float32", False]
    difference = {way: float((value - exact).abs().max()) for way, value in values.items()}
    # not 0: sums over neighbours come in any order on a GPU
    assert difference["tf32", False] < ROUNDING, difference
    assert difference["float32", True] < ROUNDING, difference
    assert 10 * ROUNDING < difference["tf32", True] < 0.02, difference


def test_neighbours() -> None:
    random = torch.Generator().manual_seed(0)
    points = torch.randn(900, 3, generator=random) * 10
    protein = torch.repeat_interleave(torch.arange(3), torch.tensor([500, 395, 5]))
    found = []
    for device in (DEVICE, "cpu"):
        x, owner = points.to(device), protein.to(device)
        index, mask = nearest(queries=x[::3], query_protein=owner[::3], points=x, point_protein=owner, k=16)
        target, source = pairs_within(points=x, protein=owner, radius=4.0)
        pairs = (target * len(points) + source).sort().values
        chosen = farthest_points_of_each(points=x, protein=owner, ratio=0.3, fewest=4)
        assert bool((target[1:] >= target[:-1]).all())
        found.append([part.cpu() for part in (index.where(mask, 0), mask, pairs, chosen)])
    for there, here in zip(*found, strict=True):
        assert torch.equal(there, here)


def test_kernels_of_openequivariance(small_config: Config, make_proteins: Callable[..., ProteinBatch]) -> None:
    pytest.importorskip("openequivariance")
    proteins = make_proteins((300, 200)).to(DEVICE, torch.float32)
    target, source, distance = quasi_geodesic_pairs(
        points=proteins.points, normals=proteins.normals, protein=proteins.point_protein, smoothing=2.5, radius=9.0
    )
    proteins = replace(proteins, cloud_pairs=CloudPairs(target=target, source=source, distance=distance))
    features = torch.randn(500, 8, generator=torch.Generator().manual_seed(2)).to(DEVICE)
    found = []
    for product in ("torch", "openequivariance"):
        torch.manual_seed(1)
        encoder = QMPNN(small_config.router.model_copy(update={"tensor_product": product, "l_max": 2})).to(DEVICE)
        inputs = features.clone().requires_grad_()
        result = encoder.point_features(proteins, inputs)
        result.square().mean().backward()
        slopes = {name: weight.grad for name, weight in encoder.named_parameters() if weight.grad is not None}
        found.append((result.detach(), inputs.grad, slopes))
    torch.testing.assert_close(found[1], found[0], atol=1e-5, rtol=1e-4)


def trained(config: Config, store: SurfaceStore, scratch: Path, **options: object) -> list[TrainingReport]:
    reports: list[TrainingReport] = []
    train(config, store.path, report=reports.append, scratch=scratch, device=DEVICE, **options)
    return reports


@pytest.mark.parametrize("kind", ["plain", "anchored"])
def test_training_descends_and_its_model_is_the_same_on_a_cpu(
    kind: str, tiny_run: Config, tiny_store: SurfaceStore, tmp_path: Path
) -> None:
    schedule = {"steps": 60, "validate_every": 60, "latent_dropout": 0.0}
    config = tiny_run.model_copy(
        update={
            "training": tiny_run.training.model_copy(update=schedule),
            "expert": tiny_run.expert.model_copy(update={"kind": kind, "softplus_beta": 10.0}),
        }
    )
    reports = trained(config, tiny_store, tmp_path)
    losses = [metrics["train/loss"] for report in reports for _, metrics in report.history]
    assert sum(losses[-10:]) < 0.97 * sum(losses[:10])
    folder = reports[-1].checkpoint
    assert folder is not None
    file = Path(builders.__file__).parents[1] / "moedsr" / "structures" / "mini_atlas" / "1vii_A" / "1vii_A.pdb"
    there, here = (
        next(SurfacePredictor.load(folder, device).predict(file, [0.5], resolution=48)) for device in (DEVICE, "cpu")
    )
    assert len(there.mesh.vertices) == len(here.mesh.vertices) > 0
    torch.testing.assert_close(
        torch.from_numpy(there.mesh.vertices), torch.from_numpy(here.mesh.vertices), atol=0.01, rtol=0
    )


def test_a_resumed_training_goes_on(tiny_run: Config, tiny_store: SurfaceStore, tmp_path: Path) -> None:
    """Up to what the order of sums on a GPU lets pass."""
    whole = trained(tiny_run, tiny_store, tmp_path / "whole")
    stops = iter([False, True])
    first = trained(tiny_run, tiny_store, tmp_path / "first", stop=lambda: next(stops))
    second = trained(tiny_run, tiny_store, tmp_path / "second", resume_from=first[-1].checkpoint)
    undisturbed = [metrics["train/loss"] for report in whole for _, metrics in report.history]
    resumed = [metrics["train/loss"] for report in first + second for _, metrics in report.history]
    assert resumed == pytest.approx(undisturbed, rel=2e-3)


def test_a_checkpoint_of_a_gpu_goes_on_on_a_cpu(tiny_run: Config, tiny_store: SurfaceStore, tmp_path: Path) -> None:
    there = Trainer(tiny_run, tiny_store, DEVICE)
    there.take_step()
    folder = there.save(tmp_path / "checkpoint", {}, {})
    here = Trainer(tiny_run, tiny_store, "cpu")
    here.resume(folder)
    (loss, _), (expected, _) = here.take_step(), there.take_step()
    # the products of the other are TensorFloat-32
    torch.testing.assert_close(loss, expected.cpu(), atol=1e-3, rtol=5e-3)


def test_memory_is_measured_and_a_full_gpu_is_said_in_one_line() -> None:
    metrics = SystemMetrics()
    held = torch.zeros(2**26, device=DEVICE)
    assert metrics.read()["system/gpu_memory_gib"] >= 0.25
    del held
    with pytest.raises(torch.OutOfMemoryError) as caught:
        torch.empty(2**50, device=DEVICE)
    reason = reason_of(caught.value)
    assert reason.startswith("out of memory: CUDA out of memory. Tried to allocate ")
    assert "\n" not in reason
