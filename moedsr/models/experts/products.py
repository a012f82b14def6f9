"""Products between hidden layers, in TensorFloat-32 where that is wanted and the GPU has it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def linear(inputs: Tensor, weight: Tensor, bias: Tensor | None = None, *, tf32: bool) -> Tensor:
    """``torch.nn.functional.linear``, (..., I) by (O, I) to (..., O); with ``tf32`` on a GPU in TensorFloat-32.

    A TensorFloat-32 product rounds both factors to 10 of 23 bits, and adds up in float32. What comes in and out is
    float32, the bias is added in float32, and so are the products of the backward pass as they are here.
    """
    if not (tf32 and inputs.is_cuda and inputs.dtype == torch.float32):
        return torch.nn.functional.linear(inputs, weight, bias)
    product: Tensor = TensorFloatProduct.apply(inputs, weight.mT)
    return product if bias is None else product + bias


class TensorFloatProduct(torch.autograd.Function):
    """``left @ right``, (..., I) by (I, O), with the switch set for this product and its backward pass alone.

    torch has one switch for the whole process, which would round the gate, Ψ and the signed distance too.
    """

    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor) -> Tensor:
        ctx.save_for_backward(left, right)
        with _tensor_float():
            return left @ right

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, Tensor]:
        left, right = ctx.saved_tensors
        with _tensor_float():
            return slope @ right.mT, left.flatten(0, -2).mT @ slope.flatten(0, -2)


@contextmanager
def _tensor_float() -> Iterator[None]:
    switch = torch.backends.cuda.matmul
    before = switch.fp32_precision
    switch.fp32_precision = "tf32"
    try:
        yield
    finally:
        switch.fp32_precision = before
