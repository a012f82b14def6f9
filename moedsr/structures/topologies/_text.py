"""Text files of atoms: read whole, unpacked where they are packed, numbers checked."""

import gzip
import math
import zlib
from collections.abc import Sequence
from pathlib import Path

from moedsr.errors import InputError

LARGEST_TEXT = 1 << 30
"""Bytes of an unpacked file; a larger one is no protein but a packed bomb, or a trajectory."""


def read_text(path: Path) -> str:
    """Content of a plain or gzipped file.

    Raises:
        InputError: missing or unreadable file, a damaged archive, more than 1 GiB.
    """
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            data = file.read(LARGEST_TEXT + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if len(data) > LARGEST_TEXT:
        raise InputError(f"{path}: is larger than {LARGEST_TEXT >> 20} MiB, at most that much is read as a structure")
    return data.decode("latin-1")


def finite_position(columns: Sequence[str], where: str, shown: str, place: str) -> tuple[float, float, float]:
    """Three finite numbers.

    Raises:
        InputError: anything else; ``where`` opens the message, ``shown`` is what stands there, ``place`` the rule.
    """
    try:
        x, y, z = (float(column) for column in columns)
    except ValueError:
        raise InputError(f"{where}: coordinates {shown} are not three numbers {place}") from None
    if not all(math.isfinite(value) for value in (x, y, z)):
        raise InputError(f"{where}: coordinates {shown} must be finite")
    return x, y, z
