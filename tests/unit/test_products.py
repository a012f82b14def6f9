"""The switch to TensorFloat-32: around single products, and off again."""

import builders
import pytest
import torch

from moedsr.config import Config
from moedsr.models.experts import products
from moedsr.models.experts.products import TensorFloatProduct, linear
from moedsr.models.moedsr import MoEDSR

SWITCH = torch.backends.cuda.matmul


def test_product_and_gradients_are_torchs() -> None:
    """Where the switch means nothing, on a CPU, they are the same numbers."""
    torch.manual_seed(0)
    left = torch.randn(2, 3, 5, 7, dtype=torch.float64, requires_grad=True)
    right = torch.randn(7, 4, dtype=torch.float64, requires_grad=True)
    slope = torch.randn(2, 3, 5, 4, dtype=torch.float64)
    ours = torch.autograd.grad(TensorFloatProduct.apply(left, right), (left, right), slope)
    theirs = torch.autograd.grad(left @ right, (left, right), slope)
    for own, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(own, other, atol=1e-13, rtol=0)


def test_switch_is_on_for_the_three_products_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    multiply = torch.Tensor.__matmul__

    def watched(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        seen.append(SWITCH.fp32_precision)
        return multiply(left, right)

    monkeypatch.setattr(torch.Tensor, "__matmul__", watched)
    before = SWITCH.fp32_precision
    left, right = torch.ones(3, 2, requires_grad=True), torch.ones(2, 4, requires_grad=True)
    product = TensorFloatProduct.apply(left, right)
    assert SWITCH.fp32_precision == before
    product.sum().backward()
    assert SWITCH.fp32_precision == before
    assert seen == ["tf32"] * 3


def test_switch_is_off_again_after_an_error() -> None:
    before = SWITCH.fp32_precision
    with pytest.raises(RuntimeError):
        TensorFloatProduct.apply(torch.ones(3, 2), torch.ones(3, 2))
    assert SWITCH.fp32_precision == before


def test_a_cpu_computes_as_ever() -> None:
    inputs, weight, bias = torch.randn(2, 5, 7), torch.randn(4, 7), torch.randn(4)
    expected = torch.nn.functional.linear(inputs, weight, bias)
    assert torch.equal(linear(inputs, weight, bias, tf32=True), expected)


@pytest.mark.parametrize(
    ("precision", "training", "wanted"), [("tf32", True, {True}), ("tf32", False, {False}), ("float32", True, {False})]
)
def test_only_training_asks_for_it(
    precision: str, training: bool, wanted: set[bool], small_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: set[bool] = set()

    def watched(*args: torch.Tensor, tf32: bool) -> torch.Tensor:
        asked.add(tf32)
        return products.linear(*args, tf32=tf32)

    expert = small_config.expert.model_copy(update={"matmul_precision": precision})
    model = MoEDSR(small_config.model_copy(update={"expert": expert}), 2).double().train(training)
    monkeypatch.setattr("moedsr.models.experts.body.linear", watched)
    batch = builders.make_batch()
    model.field(batch.surface_points, batch.time, model.context(batch.proteins))
    assert asked == wanted
