"""Router backbones, one file each."""

from moedsr.models.encoders._base import Encoding, RouterWidths, SurfaceEncoder
from moedsr.models.encoders.dmasif import DMaSIF
from moedsr.models.encoders.point_transformer import PointTransformer
from moedsr.models.encoders.pointcnn import PointCNN
from moedsr.models.encoders.pointmlp import PointMLP
from moedsr.models.encoders.pointnet2 import PointNet2
from moedsr.models.encoders.q_mpnn import QMPNN

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
