"""The fast form of the messages against the formula edge by edge, and what may not change the result."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch
from benchmarks.edgewise import EdgewiseQMPNN

from moedsr.batches.batch import CloudPairs, ProteinBatch
from moedsr.config import Config
from moedsr.geometry.quasi_geodesic import quasi_geodesic_pairs
from moedsr.models.router import neighbourhoods
from moedsr.models.router.encoders.q_mpnn import QMPNN

MakeProteins = Callable[..., ProteinBatch]


@pytest.fixture
def _float64() -> Iterator[None]:
    """e3nn fixes the precision of its coefficients when a module is built."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def make_encoder(config: Config, l_max: int = 2, **changes: object) -> QMPNN:
    torch.manual_seed(1)
    return QMPNN(config.router.model_copy(update={"l_max": l_max, **changes})).double()


def features_of(proteins: ProteinBatch) -> torch.Tensor:
    return torch.randn(len(proteins.points), 8, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def gradients(encoder: QMPNN, result: torch.Tensor) -> dict[str, torch.Tensor]:
    encoder.zero_grad()
    result.square().sum().backward()
    return {name: p.grad.clone() for name, p in encoder.named_parameters() if p.grad is not None}


@pytest.mark.usefixtures("_float64")
@pytest.mark.parametrize("l_max", [0, 1, 2])
@pytest.mark.parametrize("recompute", [False, True])
def test_equals_the_formula_edge_by_edge(
    l_max: int, recompute: bool, small_config: Config, make_proteins: MakeProteins
) -> None:
    proteins = make_proteins((60, 40, 1))
    encoder, features = (
        make_encoder(small_config, l_max, recompute_messages=recompute),
        features_of(proteins),
    )
    oracle = EdgewiseQMPNN(encoder)
    ours, theirs = encoder.point_features(proteins, features), oracle(proteins, features)
    assert theirs.std() > 0.1
    torch.testing.assert_close(ours, theirs, atol=1e-10, rtol=1e-10)
    expected = gradients(encoder, theirs)
    for name, gradient in gradients(encoder, ours).items():
        torch.testing.assert_close(gradient, expected[name], atol=1e-9, rtol=1e-9, msg=name)


def test_equals_the_formula_in_single_precision(small_config: Config, make_proteins: MakeProteins) -> None:
    proteins = make_proteins((200,)).to("cpu", torch.float32)
    encoder, features = make_encoder(small_config).float(), features_of(proteins).float()
    expected = EdgewiseQMPNN(encoder)(proteins, features)
    torch.testing.assert_close(encoder.point_features(proteins, features), expected, atol=1e-5, rtol=1e-5)


def test_pieces_do_not_matter(
    small_config: Config, make_proteins: MakeProteins, monkeypatch: pytest.MonkeyPatch
) -> None:
    proteins = make_proteins((60, 40, 1))
    encoder, features = make_encoder(small_config), features_of(proteins)
    whole = encoder(proteins, features).code
    monkeypatch.setattr(neighbourhoods, "_PAIRS_AT_ONCE", {"cpu": 50})
    torch.testing.assert_close(encoder(proteins, features).code, whole, atol=1e-12, rtol=0)


def test_neighbours_known_from_before(small_config: Config, make_proteins: MakeProteins) -> None:
    proteins = make_proteins((60, 40))
    encoder, features = make_encoder(small_config), features_of(proteins)
    target, source, distance = quasi_geodesic_pairs(
        points=proteins.points,
        normals=proteins.normals,
        protein=proteins.point_protein,
        smoothing=small_config.router.normal_smoothing,
        radius=small_config.router.neighborhood_radius,
    )
    known = replace(proteins, cloud_pairs=CloudPairs(target=target, source=source, distance=distance))
    code = encoder(proteins, features).code
    torch.testing.assert_close(encoder(known, features).code, code, atol=0, rtol=0)
    none = replace(proteins, cloud_pairs=CloudPairs(target=target[:0], source=source[:0], distance=distance[:0]))
    assert (encoder(none, features).code - code).abs().max() > 1e-3
