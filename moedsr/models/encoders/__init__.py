"""Router backbones, one file each."""

from moedsr.models.encoders._base import Encoding, RouterWidths, SurfaceEncoder
from moedsr.models.encoders.q_mpnn import QMPNN

ENCODERS: dict[str, type[SurfaceEncoder]] = {"q_mpnn": QMPNN}

__all__ = ["ENCODERS", "QMPNN", "Encoding", "RouterWidths", "SurfaceEncoder"]
