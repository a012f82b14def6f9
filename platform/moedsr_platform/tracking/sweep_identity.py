"""What tells a sweep from all others in a store that many people share."""

import json
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

from moedsr.errors import InputError
from moedsr.files import flush
from moedsr_platform.tracking.journal import is_waiting
from moedsr_platform.tracking.store import without_password


@dataclass(frozen=True)
class SweepIdentity:
    """Made once, kept in the sweep's folder.

    Attributes:
        key: begins the keys of its runs.
        store: where they are; None before the first.
    """

    key: str
    store: str | None


def read_identity(folder: Path) -> SweepIdentity:
    """The identity that is kept in a folder of tracking, or a new one."""
    file = folder / "identity.json"
    if not file.is_file():
        return SweepIdentity(uuid.uuid4().hex, None)
    return SweepIdentity(**json.loads(file.read_text(encoding="utf-8")))


def take_key(folder: Path, uri: str) -> str:
    """The key, of a sweep whose runs are in this store from now on.

    Raises:
        InputError: requests for another store wait in the folder.
    """
    known, address = read_identity(folder), without_password(uri)
    if known.store not in (None, address) and is_waiting(folder):
        raise InputError(
            f"{folder}: what waits there is meant for {known.store}, but the store in use is {address}: "
            "set MLFLOW_TRACKING_URI to the former"
        )
    if known.store != address:
        file = folder / "identity.json"
        temporary = file.with_suffix(".tmp")
        temporary.write_text(json.dumps(asdict(SweepIdentity(known.key, address))) + "\n", encoding="utf-8")
        flush(temporary)  # lost with the power, it would leave a sweep that doubles its runs
        temporary.replace(file)
    return known.key
