"""Router backbones, one file each."""

from moedsr.models.router.encoders._base import Encoding, RouterWidths, SurfaceEncoder
from moedsr.models.router.encoders.dmasif import DMaSIF
from moedsr.models.router.encoders.point_transformer import PointTransformer
from moedsr.models.router.encoders.pointcnn import PointCNN
from moedsr.models.router.encoders.pointmlp import PointMLP
from moedsr.models.router.encoders.pointnet2 import PointNet2
from moedsr.models.router.encoders.q_mpnn import QMPNN

ENCODERS: dict[str, type[SurfaceEncoder]] = {
    "q_mpnn": QMPNN,
    "pointnet2": PointNet2,
    "pointcnn": PointCNN,
    "point_transformer": PointTransformer,
    "pointmlp": PointMLP,
    "dmasif": DMaSIF,
}

__all__ = [
    "ENCODERS",
    "QMPNN",
    "DMaSIF",
    "Encoding",
    "PointCNN",
    "PointMLP",
    "PointNet2",
    "PointTransformer",
    "RouterWidths",
    "SurfaceEncoder",
]
