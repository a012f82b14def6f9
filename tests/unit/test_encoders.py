"""What router backbones have in common beyond test_router.py, and where they differ on purpose."""

from collections.abc import Callable
from dataclasses import replace

import builders
import pytest
import torch

from moedsr.batches.batch import ProteinBatch
from moedsr.config import Config, RouterConfig
from moedsr.errors import InputError
from moedsr.models.moedsr import MoEDSR
from moedsr.models.router.encoders import ENCODERS, SurfaceEncoder
from moedsr.models.router.encoders._cloud import CoordinateEncoder

MakeProteins = Callable[..., ProteinBatch]
Turn = Callable[[ProteinBatch], tuple[ProteinBatch, torch.Tensor]]

ON_COORDINATES = [name for name, encoder in ENCODERS.items() if issubclass(encoder, CoordinateEncoder)]
TABLE_4 = ["pointnet2", "pointcnn", "point_transformer", "pointmlp", "dmasif"]


def make_encoder(backbone: str, config: RouterConfig, **changes: object) -> SurfaceEncoder:
    torch.manual_seed(1)
    return ENCODERS[backbone](config.model_copy(update={"backbone": backbone, **changes})).double()


def features_of(proteins: ProteinBatch, width: int) -> torch.Tensor:
    return torch.randn(len(proteins.points), width, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def test_every_row_of_table_4_is_there() -> None:
    assert {"q_mpnn", *TABLE_4} <= ENCODERS.keys()
    assert {"pointnet2", "pointcnn", "point_transformer", "pointmlp"} <= set(ON_COORDINATES)


def test_sizes_allow_a_comparison() -> None:
    counts = {
        name: sum(p.numel() for p in ENCODERS[name](RouterConfig()).parameters()) for name in ("q_mpnn", *TABLE_4)
    }
    assert max(counts.values()) <= 2_000_000
    others = [counts[name] for name in TABLE_4]
    assert max(others) <= 1.5 * min(others)


@pytest.mark.parametrize("backbone", ENCODERS)
def test_translation_does_not_matter(backbone: str, small_config: Config, make_proteins: MakeProteins) -> None:
    proteins = make_proteins((200,))
    moved = builders.rotated(proteins, torch.eye(3, dtype=torch.float64), torch.tensor([3.0, -20.0, 7.0]).double())
    encoder, features = make_encoder(backbone, small_config.router), features_of(proteins, 8)
    code = encoder(proteins, features).code
    torch.testing.assert_close(encoder(moved, features).code, code, atol=1e-10, rtol=0)


def test_dmasif_sees_no_orientation(small_config: Config, make_proteins: MakeProteins, turn: Turn) -> None:
    proteins = make_proteins((200, 30))
    turned, _ = turn(proteins)
    encoder, features = make_encoder("dmasif", small_config.router), features_of(proteins, 8)
    before, after = encoder(proteins, features).code, encoder(turned, features).code
    torch.testing.assert_close(after, before, atol=1e-10, rtol=0)
    single = encoder.float()
    before = single(proteins.to("cpu", torch.float32), features.float()).code
    after = single(turned.to("cpu", torch.float32), features.float()).code
    torch.testing.assert_close(after, before, atol=1e-4, rtol=0)


def test_dmasif_tells_mirror_images_apart(small_config: Config, make_proteins: MakeProteins) -> None:
    proteins = make_proteins((200,))
    mirror = torch.diag(torch.tensor([1.0, 1.0, -1.0], dtype=torch.float64))
    encoder, features = make_encoder("dmasif", small_config.router), features_of(proteins, 8)
    mirrored = encoder(builders.rotated(proteins, mirror, torch.zeros(3).double()), features).code
    assert (mirrored - encoder(proteins, features).code).abs().max() > 1e-3


@pytest.mark.parametrize("backbone", ON_COORDINATES)
def test_backbones_on_coordinates_do_see_the_orientation(
    backbone: str, small_config: Config, make_proteins: MakeProteins, turn: Turn
) -> None:
    """They read coordinates as numbers: the same protein turned has another code. So it is in the paper's Table 4."""
    proteins = make_proteins((200,))
    turned, _ = turn(proteins)
    encoder, features = make_encoder(backbone, small_config.router), features_of(proteins, 8)
    assert (encoder(turned, features).code - encoder(proteins, features).code).abs().max() > 1e-2


@pytest.mark.parametrize("backbone", ENCODERS)
def test_order_does_not_matter_where_points_are_chosen(
    backbone: str, small_config: Config, make_proteins: MakeProteins
) -> None:
    """Two hundred points: every stage thins its cloud, and no neighbourhood holds all of it."""
    proteins = make_proteins((200,))
    order = torch.randperm(200, generator=torch.Generator().manual_seed(0))
    shuffled = replace(proteins, points=proteins.points[order], normals=proteins.normals[order])
    encoder, features = make_encoder(backbone, small_config.router), features_of(proteins, 8)
    code = encoder(proteins, features).code
    torch.testing.assert_close(encoder(shuffled, features[order]).code, code, atol=1e-10, rtol=0)


@pytest.mark.parametrize("backbone", ENCODERS)
def test_precision(backbone: str, small_config: Config, make_proteins: MakeProteins) -> None:
    proteins = make_proteins((100, 3))
    encoder, features = make_encoder(backbone, small_config.router), features_of(proteins, 8)
    double = encoder(proteins, features).code
    assert double.dtype == torch.float64
    encoder, proteins, features = encoder.float(), proteins.to("cpu", torch.float32), features.float()
    single = encoder(proteins, features).code
    torch.testing.assert_close(single, double.float(), atol=1e-4, rtol=0)
    with torch.autocast("cpu", torch.bfloat16):
        half = encoder(proteins, features).code
    half.square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters())
    torch.testing.assert_close(half.float()[0], single[0], atol=0.1, rtol=0)


@pytest.mark.parametrize("backbone", TABLE_4)
@pytest.mark.parametrize("width", [4, 5])
def test_narrow_networks(backbone: str, width: int, small_config: Config, make_proteins: MakeProteins) -> None:
    proteins = make_proteins((40,))
    encoder = make_encoder(backbone, small_config.router, hidden_channels=width, layers=1)
    assert torch.isfinite(encoder(proteins, features_of(proteins, 8)).code).all()


@pytest.mark.parametrize("backbone", ON_COORDINATES)
def test_normals_are_read_where_asked_for(backbone: str, small_config: Config, make_proteins: MakeProteins) -> None:
    proteins = make_proteins((60,))
    inverted, features = replace(proteins, normals=-proteins.normals), features_of(proteins, 8)
    blind = make_encoder(backbone, small_config.router)
    torch.testing.assert_close(blind(inverted, features).code, blind(proteins, features).code, atol=0, rtol=0)
    seeing = make_encoder(backbone, small_config.router, use_normals=True)
    assert (seeing(inverted, features).code - seeing(proteins, features).code).abs().max() > 1e-3


def test_unknown_backbone_names_the_nearest(small_config: Config) -> None:
    config = small_config.model_copy(update={"router": small_config.router.model_copy(update={"backbone": "pointnet"})})
    with pytest.raises(
        InputError, match=r"router\.backbone is `pointnet`.*pointnet2.*must be one of dmasif, none, point_tran"
    ):
        MoEDSR(config, 1)
