"""The depthwise tensor product by the kernels of OpenEquivariance, which run on a GPU only."""

from importlib import import_module
from typing import Any

import torch
from e3nn import o3
from torch import Tensor

from moedsr.errors import InputError
from moedsr.models.router.tensor_product import DepthwiseTensorProduct


class FusedTensorProduct(DepthwiseTensorProduct):
    """Gather, product and sum in one kernel; where there is no GPU, the product that it stands for.

    The weights are those of the other class, so a model trained with one computes the same with the other.

    Raises:
        InputError: on a GPU, the package is missing or does not work with this installation of torch.
    """

    def __init__(self, irreps_in: o3.Irreps, l_max: int) -> None:
        super().__init__(irreps_in, l_max)
        self._convolution: Any = None

    def arrange(self, features: Tensor) -> Tensor:
        """As they are on a GPU, where the kernels read e3nn's order."""
        return features if runs_fused(features) else super().arrange(features)

    def forward(self, target: Tensor, source: Tensor, index: Tensor, harmonics: Tensor, weights: Tensor) -> Tensor:
        if not runs_fused(target):
            return super().forward(target, source, index, harmonics, weights)
        if self._convolution is None:
            # not a submodule: its state belongs to the device, not to the model
            object.__setattr__(self, "_convolution", self._build())
        points, width = index.shape
        row = torch.arange(points, device=index.device).repeat_interleave(width)
        edges = harmonics.mT.flatten(0, 1).float().contiguous(), weights.flatten(0, 1).float().contiguous()
        summed = self._convolution(source.float(), *edges, row, index.flatten())[:points]
        return summed + self._convolution(target.float(), *edges, row, row)

    def _build(self) -> Any:
        try:
            package = import_module("openequivariance")
        except Exception as error:  # it compiles itself while it is imported; anything may go wrong there
            raise InputError(
                f"router.tensor_product is `openequivariance`, but that package does not load ({error}): "
                "pip install -c constraints.txt '.[fused]', or choose `torch`"
            ) from error
        problem = package.TPProblem(
            self.irreps_in,
            o3.Irreps.spherical_harmonics(self.l_max),
            self.irreps_out,
            self.instructions,
            irrep_normalization="component",
            path_normalization="element",
            shared_weights=False,
            internal_weights=False,
        )
        return package.TensorProductConv(problem, deterministic=False)


def runs_fused(features: Tensor) -> bool:
    """Whether the kernels can take these features."""
    return features.is_cuda
