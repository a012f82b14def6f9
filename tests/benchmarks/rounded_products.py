"""Products between hidden layers as a GPU computes them in fewer bits, imitated on a CPU to see what that costs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from moedsr.models.experts import body

Rounding = Callable[[Tensor], Tensor]


_LOST = 13  # bits of float32's mantissa that TensorFloat-32 does not have


def _shortened(values: Tensor, *, half: int) -> Tensor:
    return (values.contiguous().view(torch.int32) + half >> _LOST << _LOST).view(torch.float32)


ROUNDINGS: dict[str, Rounding] = {
    "tf32": lambda values: _shortened(values, half=1 << _LOST - 1),
    "tf32-cut": lambda values: _shortened(values, half=0),  # the worst that hardware may do: every factor shrinks
    "bf16": lambda values: values.bfloat16().float(),
}


class _Rounded(torch.autograd.Function):
    """``left @ right`` with every factor rounded, in the backward pass too; sums in float32."""

    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor, rounding: Rounding) -> Tensor:
        ctx.rounding = rounding
        ctx.save_for_backward(rounding(left), rounding(right))
        return rounding(left) @ rounding(right)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, Tensor, None]:
        left, right = ctx.saved_tensors
        slope = ctx.rounding(slope)
        return slope @ right.mT, left.flatten(0, -2).mT @ slope.flatten(0, -2), None


@contextmanager
def rounded_products(kind: str) -> Iterator[None]:
    """Let experts train so for a while: one of ROUNDINGS, or ``float32``, which changes nothing."""
    if kind == "float32":
        yield
        return
    rounding, exact = ROUNDINGS[kind], body.linear

    def linear(inputs: Tensor, weight: Tensor, bias: Tensor | None = None, *, tf32: bool) -> Tensor:
        if not tf32:
            return exact(inputs, weight, bias, tf32=False)
        product: Tensor = _Rounded.apply(inputs, weight.mT, rounding)
        return product if bias is None else product + bias

    body.linear = linear  # type: ignore[assignment]
    try:
        yield
    finally:
        body.linear = exact
