"""The calls to OpenEquivariance, against a stand-in that does what its documentation says. No GPU has run them yet."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from e3nn import o3

from moedsr.batches.batch import ProteinBatch
from moedsr.config import Config
from moedsr.errors import InputError
from moedsr.models.router import fused_tensor_product
from moedsr.models.router.encoders.q_mpnn import QMPNN
from moedsr.models.router.fused_tensor_product import FusedTensorProduct


@dataclass
class StandIn:
    """TensorProductConv(problem)(X, Y, W, rows, cols): sum of the products of X[cols] by row."""

    product: o3.TensorProduct

    def __call__(
        self, x: torch.Tensor, y: torch.Tensor, w: torch.Tensor, rows: torch.Tensor, cols: torch.Tensor
    ) -> Any:
        products = self.product(x[cols], y, w)
        return products.new_zeros(len(x), products.shape[1]).index_add(0, rows, products)


@pytest.fixture
def _package(monkeypatch: pytest.MonkeyPatch) -> None:
    def convolution(problem: o3.TensorProduct, *, deterministic: bool) -> StandIn:
        assert not deterministic  # the deterministic kernel wants sorted symmetric pairs; padded ones are not
        return StandIn(problem)

    package = SimpleNamespace(TPProblem=o3.TensorProduct, TensorProductConv=convolution)
    monkeypatch.setitem(sys.modules, "openequivariance", package)
    monkeypatch.setattr(fused_tensor_product, "runs_fused", lambda features: True)


def code_of(config: Config, proteins: ProteinBatch, kind: str) -> torch.Tensor:
    torch.manual_seed(1)
    encoder = QMPNN(config.router.model_copy(update={"tensor_product": kind, "l_max": 2}))
    features = torch.randn(len(proteins.points), 8, generator=torch.Generator().manual_seed(2))
    return encoder(proteins.to("cpu", torch.float32), features).code


@pytest.mark.usefixtures("_package")
def test_same_code_as_with_torch(small_config: Config, make_proteins: Callable[..., ProteinBatch]) -> None:
    codes = [code_of(small_config, make_proteins(), kind) for kind in ("torch", "openequivariance")]
    torch.testing.assert_close(codes[1], codes[0], atol=1e-5, rtol=1e-5)


def test_without_a_gpu_it_computes_as_torch(small_config: Config, make_proteins: Callable[..., ProteinBatch]) -> None:
    codes = [code_of(small_config, make_proteins(), kind) for kind in ("torch", "openequivariance")]
    torch.testing.assert_close(codes[1], codes[0], atol=0, rtol=0)


def test_a_package_that_does_not_load_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openequivariance", None)
    monkeypatch.setattr(fused_tensor_product, "runs_fused", lambda features: True)
    product = FusedTensorProduct(o3.Irreps("4x0e"), 1)
    ones, index = torch.ones(2, 4), torch.zeros(2, 1, dtype=torch.long)
    with pytest.raises(InputError, match=r"router\.tensor_product is `openequivariance`, but .* or choose `torch`"):
        product(ones, ones, index, torch.ones(2, 4, 1), torch.ones(2, 1, 8))


def test_only_tensors_on_a_gpu_are_taken() -> None:
    assert not fused_tensor_product.runs_fused(torch.zeros(1))
