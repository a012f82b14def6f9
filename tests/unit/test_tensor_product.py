from collections.abc import Iterator

import pytest
import torch
from e3nn import o3

from moedsr.models.router.equivariant import EquivariantLayerNorm, EquivariantMLP, hidden_irreps
from moedsr.models.router.tensor_product import DepthwiseTensorProduct


@pytest.mark.parametrize(
    ("irreps", "l_max", "paths", "weights", "dim"),
    [
        ("32x0e", 1, 2, 64, 128),
        ("32x0e+16x1o", 1, 4, 96, 192),
        ("32x0e", 2, 3, 96, 288),
        ("32x0e+16x1o+8x2e", 2, 11, 192, 592),
        ("64x0e+32x1o+16x2e", 2, 11, 384, 1184),
    ],
)
def test_path_and_weight_counts(irreps: str, l_max: int, paths: int, weights: int, dim: int) -> None:
    product = DepthwiseTensorProduct(o3.Irreps(irreps), l_max)
    assert (len(product.irreps_out), product.weight_numel, product.irreps_out.dim) == (paths, weights, dim)


@pytest.fixture
def _float64() -> Iterator[None]:
    """e3nn fixes the precision of its coefficients when a module is built."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("_float64")
@pytest.mark.parametrize("l_max", [0, 1, 2])
def test_equals_e3nn(l_max: int) -> None:
    """e3nn's own tensor product, mode uvu, with the same paths, weights and component normalisation."""
    irreps = hidden_irreps(l_max, 8)
    product = DepthwiseTensorProduct(irreps, l_max).double()
    harmonics = o3.Irreps.spherical_harmonics(l_max)
    oracle = o3.TensorProduct(
        irreps,
        harmonics,
        product.irreps_out,
        product.instructions,
        shared_weights=False,
        internal_weights=False,
        irrep_normalization="component",
        path_normalization="element",
    ).double()
    index = torch.randint(30, (4, 5))
    target, source = irreps.randn(4, -1, dtype=torch.float64), irreps.randn(30, -1, dtype=torch.float64)
    weights = torch.randn(4, 5, product.weight_numel, dtype=torch.float64)
    weights[2, 3:] = 0
    y = o3.spherical_harmonics(harmonics, torch.randn(4, 5, 3).double(), normalize=True, normalization="component")
    expected = oracle(target[:, None] + source[index], y, weights).sum(1)
    result = product(product.arrange(target), product.arrange(source), index, y.mT, weights)
    torch.testing.assert_close(result, expected, atol=1e-12, rtol=1e-10)


@pytest.mark.parametrize("module", [EquivariantMLP, lambda irreps, _: EquivariantLayerNorm(irreps)])
def test_node_blocks_are_equivariant(module: type[EquivariantMLP]) -> None:
    irreps = hidden_irreps(2, 8)
    block = module(irreps, irreps).double()
    features, rotation = irreps.randn(10, -1, dtype=torch.float64), o3.rand_matrix(dtype=torch.float64)
    turn = irreps.D_from_matrix(-rotation)  # a roto-inversion: all of O(3)
    torch.testing.assert_close(block(features @ turn.T), block(features) @ turn.T, atol=1e-10, rtol=0)
