"""The baseline's network against an independent one, and the baseline whole: no router, a code for each replica."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from moedsr.batches.batch import TrainingBatch
from moedsr.config import Config, DataConfig, ExpertConfig, GateConfig, RouterConfig
from moedsr.errors import InputError
from moedsr.models.experts import DSRExperts
from moedsr.models.moedsr import MoEDSR
from moedsr.models.router.encoders import RouterWidths
from moedsr.models.router.router import NoRouter
from moedsr.store.store import SurfaceStore
from moedsr.train import TrainingReport, train
from moedsr.training.trainer import Trainer


class Published(nn.Module):
    """Softplus layers on [z, x, t]; half-way the inputs are put beside a layer that leaves room for them."""

    def __init__(self, code: int, width: int, layers: int) -> None:
        super().__init__()
        inputs, self.skip = code + 4, layers // 2
        self.layers = nn.ModuleList()
        for number in range(layers + 1):
            size_in = inputs if number == 0 else width
            size_out = 1 if number == layers else width - inputs * (number + 1 == self.skip)
            self.layers.append(nn.Linear(size_in, size_out))
        self.double()

    def forward(self, code: Tensor, x: Tensor, time: Tensor) -> Tensor:
        inputs = hidden = torch.cat([code, x, time], -1)
        for number, layer in enumerate(self.layers):
            if number == self.skip:
                hidden = torch.cat([hidden, inputs], -1) / math.sqrt(2)
            hidden = layer(hidden)
            if number < len(self.layers) - 1:
                hidden = nn.functional.softplus(hidden, beta=100, threshold=50)
        return hidden[..., 0]

    @torch.no_grad()
    def take(self, experts: DSRExperts, code: int) -> None:
        """The weights of the only expert; ours keep the columns of time and code apart."""
        body = experts.body

        def columns(points: nn.Module, side: nn.Module) -> Tensor:
            of_time, of_code = side.weight[0].split([1, code], -1)
            return torch.cat([of_code, points.weight[0], of_time], -1)

        self.layers[0].weight.copy_(columns(experts.first, body.first_side))
        self.layers[0].bias.copy_(body.first_side.bias[0])
        for number, hidden in enumerate(body.hidden, start=1):
            weight = hidden.weight[0]
            if number == self.skip:
                weight = torch.cat([weight, columns(experts.skip, body.skip_side)], -1)
            self.layers[number].weight.copy_(weight)
            self.layers[number].bias.copy_(hidden.bias[0])
        self.layers[-1].weight.copy_(body.last.weight[0])
        self.layers[-1].bias.copy_(body.last.bias[0])


def alone(config: Config, **expert: object) -> Config:
    """The baseline: one such network, no router."""
    return config.model_copy(
        update={
            "router": config.router.model_copy(update={"backbone": "none"}),
            "gate": GateConfig(top_k=1),
            "expert": config.expert.model_copy(update={"kind": "dsr", "count": 1, "latent_per": "replica"} | expert),
        }
    )


@pytest.mark.parametrize("layers", [2, 3, 4, 8])
def test_is_the_published_network(layers: int, small_config: Config, make_batch: Callable[..., TrainingBatch]) -> None:
    model = MoEDSR(alone(small_config, hidden_layers=layers), 2).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    batch, size = make_batch(), small_config.expert.latent_size
    reference = Published(size, small_config.expert.hidden_size, layers)
    reference.take(model.experts, size)
    x = batch.surface_points.requires_grad_()
    value, gradient = model.field(x, batch.time, model.context(batch.proteins))
    like_points = (*x.shape[:3], -1)
    expected = reference(
        model.codes(batch.proteins.code_index)[:, None, None].expand(like_points),
        x,
        batch.time[:, :, None, None].expand(like_points),
    )
    (slope,) = torch.autograd.grad(expected.sum(), x)
    torch.testing.assert_close(value, expected, atol=1e-12, rtol=0)
    torch.testing.assert_close(gradient, slope, atol=1e-10, rtol=1e-10)


def test_starts_as_published(small_config: Config, make_batch: Callable[..., TrainingBatch]) -> None:
    """Slope as measured on the original, and with code and time among the inputs hardly any inside."""
    torch.manual_seed(0)
    sizes = {"hidden_layers": 8, "hidden_size": 512, "latent_size": 192, "initial_radius": 1.0}
    model = MoEDSR(alone(small_config, **sizes), 4)
    for layer, width in zip((model.experts.first, *model.experts.body.hidden), model.experts.body.widths, strict=True):
        assert layer.weight.std().item() == pytest.approx(math.sqrt(2 / width), rel=0.05)
    assert model.experts.body.widths == [512, 512, 512, 512 - 196, 512, 512, 512, 512]
    assert model.experts.body.last.bias.item() == -1.0
    proteins = make_batch((20,)).to("cpu", torch.float32).proteins
    points = torch.rand(1, 1, 4000, 3) * 2 - 1
    value, gradient = model.field(points, torch.zeros(1, 1), model.context(proteins))
    assert -0.2 < value.min() < 0.2
    assert 0.4 < gradient.norm(dim=-1).mean() < 0.9
    radius = points.norm(dim=-1)
    assert torch.corrcoef(torch.stack([radius.flatten(), value.flatten()]))[0, 1] > 0.7


def test_too_narrow_for_its_inputs() -> None:
    with pytest.raises(InputError, match=r"expert.hidden_size is 100, but must be above 100 for expert.kind `dsr`"):
        DSRExperts(ExpertConfig(kind="dsr", count=1, hidden_size=100, latent_size=96), router=RouterWidths(code=0))


def test_without_a_router_nothing_is_routed(small_config: Config, make_batch: Callable[..., TrainingBatch]) -> None:
    model, batch = MoEDSR(alone(small_config), 2).double(), make_batch()
    assert isinstance(model.router, NoRouter)
    assert list(model.router.parameters()) == []
    context = model.context(batch.proteins, noise=batch.gate_noise)
    assert context.encoding.code.shape == (2, 0)
    assert context.gates.dense.tolist() == [[1.0], [1.0]]
    assert len(set(model.parameter_counts())) == 1


def test_without_a_router_there_is_one_expert() -> None:
    with pytest.raises(ValidationError, match=r"router.backbone is none, but expert.count is 4; it must be 1"):
        Config(data=DataConfig(source="mini-atlas"), router=RouterConfig(backbone="none"))


def test_each_replica_has_a_code(tiny_run: Config, tiny_store: SurfaceStore, tmp_path: Path) -> None:
    """Trained, scored with the code that belongs to each frame, saved, resumed."""
    config = alone(tiny_run)
    config = config.model_copy(update={"evaluation": config.evaluation.model_copy(update={"split": "train"})})
    reports: list[TrainingReport] = []
    train(config, tiny_store.path, report=reports.append, scratch=tmp_path, device="cpu")
    assert reports[-1].metrics["val/iou"] >= 0
    trainer = Trainer(config, tiny_store, device="cpu")
    assert list(trainer.codes) == [f"{name}/{replica}" for name in trainer.proteins for replica in (1, 2, 3)]
    trainer.resume(reports[-1].checkpoint)
    assert trainer.model.codes.table.shape == (6, config.expert.latent_size)
    losses, _ = trainer.take_step()
    assert torch.isfinite(losses).all()


@pytest.mark.slow
def test_memorises_a_protein(tiny_run: Config, tiny_store: SurfaceStore, tmp_path: Path) -> None:
    """P0 and two frames of each of three replicas: the one network holds them as no static surface could."""
    config = alone(tiny_run, hidden_layers=6, hidden_size=128, latent_size=16)
    training = {
        "steps": 700, "batch_size": 1, "frames_per_protein": 1, "surface_points": 400, "learning_rate": 1e-3,
        "schedule": "halving", "halvings": 6, "warmup_steps": 0, "gradient_clip": None, "ema_decay": 0.0,
        "latent_dropout": 0.0, "report_every": 100, "validate_every": 700,
    }  # fmt: skip
    config = config.model_copy(
        update={
            "data": config.data.model_copy(update={"proteins": ("1l2y_A",)}),
            "training": config.training.model_copy(update=training),
            "evaluation": config.evaluation.model_copy(update={"split": "train", "scope": "trained", "frames": None}),
        }
    )
    reports: list[TrainingReport] = []
    train(config, tiny_store.path, report=reports.append, scratch=tmp_path, device="cpu")
    scores = reports[-1].metrics
    assert scores["val/iou"] > 0.75
    assert scores["val/iou"] > max(scores["naive/iou"], scores["oracle/iou"]) + 0.1
