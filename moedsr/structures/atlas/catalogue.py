"""Entries of ATLAS (Vander Meersche et al., Nucleic Acids Res. 52, D384, 2024): names, tiers, addresses, sizes.

The list is pinned to the 1,390 chains of 2022-06-13; the database has grown since.
"""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Literal

from moedsr.config_file import did_you_mean
from moedsr.errors import InputError

Tier = Literal["analysis", "protein"]

SERVER = "https://www.dsimb.inserm.fr/ATLAS"
REPLICAS = (1, 2, 3)
MEAN_BYTES: dict[Tier, int] = {"analysis": 55_000_000, "protein": 540_000_000}
"""Of an archive: 1,001 frames 100 ps apart, or 10,001 frames 10 ps apart, in each of three replicas."""

_PINNED = Path(__file__).with_name("ids_2022_06_13.txt")
_ID = re.compile(r"[0-9][a-z0-9]{3}_[A-Za-z0-9]")


@cache
def pinned_ids() -> tuple[str, ...]:
    """The 1,390 entries of 2022-06-13, sorted."""
    return tuple(_PINNED.read_text(encoding="ascii").split())


def addresses(name: str, tier: Tier, server: str = SERVER) -> list[str]:
    """Where an entry's archive lies: a static copy that allows resuming, then the programming interface."""
    server = server.rstrip("/")
    return [f"{server}/database/ATLAS/{name}/{name}_{tier}.zip", f"{server}/api/ATLAS/{tier}/{name}"]


def require_known(names: Sequence[str], *, unlisted: bool = False) -> None:
    """Raises InputError, naming the first wrong id and the nearest right one.

    Args:
        names: ids of entries.
        unlisted: also ids of the right form that are not in the pinned list.
    """
    known = set(pinned_ids())
    for name in names:
        if name in known:
            continue
        hint = did_you_mean(name, _same_letters(name, known) or known)
        if not unlisted or not _ID.fullmatch(name):
            rule = "ids are a PDB id in lower case, an underscore and a chain, and their case matters"
            also = "" if unlisted else "; entries newer than the list of 2022-06-13 need --unlisted"
            raise InputError(f"unknown ATLAS entry `{name}`{hint}; {rule}{also}")


def read_ids(path: Path) -> list[str]:
    """Ids of a list file: the first word or comma-separated field of each line; blank lines and # comments pass.

    Raises:
        InputError: cannot be read, or holds no id.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    words = (re.split(r"[,\s]", line.split("#")[0].strip())[0] for line in lines)
    names = [word for word in words if word and word not in ("name", "id")]  # a table's heading
    if not names:
        raise InputError(f"{path}: holds no id; one a line is expected")
    return names


def _same_letters(name: str, known: Iterable[str]) -> list[str]:
    """Ids that differ by case alone, or that lack nothing but the chain."""
    lower = name.lower()
    return sorted(entry for entry in known if entry.lower() == lower) or sorted(
        entry for entry in known if entry.split("_")[0] == lower.split("_")[0]
    )
