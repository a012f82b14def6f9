"""Conformance of every router backbone, and the gate."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from e3nn import o3

from moedsr.batches.batch import ProteinBatch
from moedsr.config import Config, GateConfig, RouterConfig
from moedsr.models.router.encoders import ENCODERS
from moedsr.models.router.gate import NoisyTopKGate
from moedsr.models.router.router import Router

MakeProteins = Callable[..., ProteinBatch]
Turn = Callable[[ProteinBatch], tuple[ProteinBatch, torch.Tensor]]


def make_router(config: Config, backbone: str, l_max: int = 1) -> Router:
    torch.manual_seed(1)
    router = config.router.model_copy(update={"backbone": backbone, "l_max": l_max})
    return Router(config.model_copy(update={"router": router})).double()


@pytest.mark.parametrize("backbone", ENCODERS)
def test_code_does_not_depend_on_batch_mates(backbone: str, small_config: Config, make_proteins: MakeProteins) -> None:
    router = make_router(small_config, backbone)
    both = make_proteins((60, 40))
    own = both.point_protein == 1
    alone = ProteinBatch(
        points=both.points[own],
        normals=both.normals[own],
        point_protein=both.point_protein[own] - 1,
        residue_positions=both.residue_positions[both.residue_protein == 1],
        residue_types=both.residue_types[both.residue_protein == 1],
        residue_protein=both.residue_protein[both.residue_protein == 1] - 1,
        scale=both.scale[1:],
        code_index=both.code_index[1:],
    )
    torch.testing.assert_close(router(alone)[0].code, router(both)[0].code[1:], atol=1e-10, rtol=0)


@pytest.mark.parametrize("backbone", ENCODERS)
def test_order_of_points_does_not_matter(backbone: str, small_config: Config, make_proteins: MakeProteins) -> None:
    router, proteins = make_router(small_config, backbone), make_proteins((60,))
    order = torch.randperm(60)
    values = {name: getattr(proteins, name) for name in proteins.__dataclass_fields__}
    shuffled = ProteinBatch(**values | {"points": proteins.points[order], "normals": proteins.normals[order]})
    torch.testing.assert_close(router(shuffled)[0].code, router(proteins)[0].code, atol=1e-10, rtol=0)


def test_order_of_residues_does_not_matter(small_config: Config, make_proteins: MakeProteins) -> None:
    """They enter through the point features alone, which all backbones share."""
    router, proteins = make_router(small_config, "q_mpnn"), make_proteins((100,))
    order = torch.randperm(len(proteins.residue_types))
    shuffled = replace(
        proteins,
        residue_positions=proteins.residue_positions[order],
        residue_types=proteins.residue_types[order],
    )
    torch.testing.assert_close(router(shuffled)[0].code, router(proteins)[0].code, atol=1e-10, rtol=0)


def test_q_mpnn_sees_no_orientation_in_single_precision(
    small_config: Config, make_proteins: MakeProteins, turn: Turn
) -> None:
    proteins = make_proteins()
    turned, _ = turn(proteins)
    router = make_router(small_config, "q_mpnn", 2).float()
    codes = [router(each.to("cpu", torch.float32))[0].code for each in (proteins, turned)]
    torch.testing.assert_close(codes[1], codes[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("l_max", [0, 1, 2])
def test_q_mpnn_sees_no_orientation(l_max: int, small_config: Config, make_proteins: MakeProteins, turn: Turn) -> None:
    router, proteins = make_router(small_config, "q_mpnn", l_max), make_proteins()
    turned, rotation = turn(proteins)
    before, after = router(proteins)[0], router(turned)[0]
    torch.testing.assert_close(after.code, before.code, atol=1e-10, rtol=0)
    probes = torch.randn(100, 3, dtype=torch.float64)
    for irrep, old, new in zip(router.encoder.irreps, before.equivariant, after.equivariant, strict=True):
        # <p, Y(x)> is the same when both turn; e3nn's own D matrices from a rotation hold to 1e-8 only
        still = o3.spherical_harmonics(irrep.ir.l, probes, normalize=False)
        moved = o3.spherical_harmonics(irrep.ir.l, probes @ rotation.T, normalize=False)
        torch.testing.assert_close(new @ moved.T, old @ still.T, atol=1e-9, rtol=0)


@pytest.mark.parametrize("backbone", ENCODERS)
def test_every_parameter_learns(backbone: str, small_config: Config, make_proteins: MakeProteins) -> None:
    router = make_router(small_config, backbone, l_max=2)
    encoding, gates = router(make_proteins(), torch.randn(2, small_config.expert.count).double())
    (encoding.code.square().sum() + gates.logits.square().sum()).backward()
    silent = [name for name, p in router.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert silent == []


@pytest.mark.parametrize(
    "change",
    [
        {"radial_range": "paper", "radial_gamma": 10.0},
        {"normal_smoothing": 0.0},
        {"normal_smoothing": 9.0},
        {"neighbor_weight": "paper"},
        {"pooling": "paper"},
        {"residue_distance": "paper"},
    ],
)
def test_paper_switches(change: dict[str, object], small_config: Config, make_proteins: MakeProteins) -> None:
    config = small_config.model_copy(update={"router": small_config.router.model_copy(update=change)})
    paper, ours = make_router(config, "q_mpnn"), make_router(small_config, "q_mpnn")
    code = paper(make_proteins())[0].code
    assert torch.isfinite(code).all()
    assert not torch.allclose(code, ours(make_proteins())[0].code)


def test_the_papers_pooling_sees_the_orientation(small_config: Config, make_proteins: MakeProteins, turn: Turn) -> None:
    """A maximum over components of degree 1 is no invariant; with scalars alone it is."""
    router = small_config.router.model_copy(update={"pooling": "paper"})
    config, proteins = small_config.model_copy(update={"router": router}), make_proteins()
    turned, _ = turn(proteins)
    for l_max, differs in ((0, False), (1, True)):
        model = make_router(config, "q_mpnn", l_max)
        change = (model(turned)[0].code - model(proteins)[0].code).abs().max()
        assert (change > 1e-2) if differs else (change < 1e-10)


@pytest.mark.parametrize("backbone", ENCODERS)
@pytest.mark.parametrize("sizes", [(1,), (2, 1), (60, 1)])
def test_tiny_clouds(backbone: str, sizes: tuple[int, ...], small_config: Config, make_proteins: MakeProteins) -> None:
    router = make_router(small_config, backbone)
    encoding, gates = router(make_proteins(sizes))
    assert torch.isfinite(encoding.code).all()
    assert torch.isfinite(gates.weights).all()
    encoding.code.square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in router.encoder.parameters() if p.grad is not None)


@pytest.mark.parametrize("backbone", ENCODERS)
@pytest.mark.parametrize("coincident", [2, 30])
def test_coincident_points(backbone: str, coincident: int, small_config: Config, make_proteins: MakeProteins) -> None:
    proteins = make_proteins((30,))
    proteins.points[:coincident] = proteins.points[0]
    router = make_router(small_config, backbone)
    code = router(proteins)[0].code
    code.square().sum().backward()
    assert torch.isfinite(code).all()
    assert all(torch.isfinite(p.grad).all() for p in router.encoder.parameters())


@pytest.mark.parametrize(("experts", "top_k"), [(1, 1), (4, 1), (4, 2), (16, 2), (4, 4)])
def test_gates(experts: int, top_k: int) -> None:
    gate = NoisyTopKGate(GateConfig(top_k=top_k), features=RouterConfig().protein_features, experts=experts)
    code = torch.randn(50, RouterConfig().protein_features)
    for noise in (None, torch.randn(50, experts)):
        gates = gate(code, noise)
        assert ((gates.dense > 0).sum(1) == top_k).all()
        torch.testing.assert_close(gates.dense.sum(1), torch.ones(50))
        assert (gates.experts[:, 0] == gates.dense.argmax(1)).all()
    torch.testing.assert_close(gate(code).dense, gate(code).dense, atol=0, rtol=0)


@pytest.mark.parametrize("backbone", ENCODERS)
def test_proteins_begin_with_different_codes(backbone: str, small_config: Config, make_proteins: MakeProteins) -> None:
    """They spread by 40 % of their size; with He's weights alone in some by 10 %, all routed alike."""
    config = small_config.model_copy(update={"router": RouterConfig(backbone=backbone)})
    proteins, spreads = make_proteins((160, 120, 200, 90)), []
    for seed in range(3):
        torch.manual_seed(seed)
        with torch.no_grad():
            code = Router(config).double()(proteins)[0].code
        spreads.append(code.std(0).mean() / code.abs().mean())
    assert sum(spreads) / len(spreads) > 0.4


def test_noise_explores_every_expert() -> None:
    gate = NoisyTopKGate(GateConfig(), features=32, experts=8)
    chosen = gate(torch.randn(500, 32), torch.randn(500, 8)).experts
    assert set(chosen.flatten().tolist()) == set(range(8))
