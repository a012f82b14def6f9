"""The index of a surface store: its manifest and its table of proteins."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from moedsr.config import PrepareConfig
from moedsr.errors import InputError
from moedsr.files import written_whole

FORMAT_VERSION = 3
MANIFEST = "manifest.json"
TABLE = "proteins.parquet"


@dataclass(frozen=True, kw_only=True)
class ProteinEntry:
    """One row of the store's table."""

    name: str
    split: str | None
    sequence: str
    residues: int
    atoms: int
    frames: int  # P0 included
    replicas: int
    scale: float  # Å per normalised unit
    centre: tuple[float, float, float]  # Å in the PDB's coordinates
    size: int  # bytes of the protein's file
    checksum: str  # SHA-256 of it


_SCHEMA = pa.schema(
    [
        ("name", pa.string()),
        ("split", pa.string()),
        ("sequence", pa.string()),
        ("residues", pa.int64()),
        ("atoms", pa.int64()),
        ("frames", pa.int64()),
        ("replicas", pa.int64()),
        ("scale", pa.float64()),
        ("centre", pa.list_(pa.float64(), 3)),
        ("size", pa.int64()),
        ("checksum", pa.string()),
    ]
)


def protein_path(folder: Path, name: str) -> Path:
    """File of one protein."""
    return folder / f"{name}.safetensors"


def checksum(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def fingerprint(settings: PrepareConfig, entries: list[ProteinEntry]) -> str:
    """Hash of format version, settings and every protein's checksum; splits do not enter."""
    content = {
        "format_version": FORMAT_VERSION,
        "settings": settings.model_dump(mode="json"),
        "proteins": {entry.name: entry.checksum for entry in entries},
    }
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def write_index(
    path: Path, settings: PrepareConfig, entries: list[ProteinEntry], set_aside: Mapping[str, str] | None = None
) -> None:
    """The table, then the manifest that makes the store complete; each written aside and renamed.

    The manifest also names the proteins that were set aside, with the reason; they enter no fingerprint.
    """
    ordered = sorted(entries, key=lambda entry: entry.name)
    table = pa.Table.from_pylist([asdict(entry) for entry in ordered], schema=_SCHEMA)
    with written_whole(path / TABLE) as aside:
        pq.write_table(table, aside, write_page_checksum=True)
    manifest = {
        "format_version": FORMAT_VERSION,
        "fingerprint": fingerprint(settings, ordered),
        "proteins": len(ordered),
        "set_aside": dict(sorted((set_aside or {}).items())),
        "settings": settings.model_dump(mode="json"),
    }
    with written_whole(path / MANIFEST) as aside:
        aside.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def stored_settings(path: Path) -> PrepareConfig | None:
    """Settings of the store in a folder; None where no finished store lies."""
    return read_settings(path, read_manifest(path)) if (path / MANIFEST).exists() else None


def require_same_settings(path: Path | str, held: PrepareConfig, asked: PrepareConfig) -> None:
    """Raises InputError, naming the first difference, unless both are the same."""
    for key in PrepareConfig.model_fields:
        if getattr(held, key) != getattr(asked, key):
            raise InputError(
                f"{path}: was prepared with {key} {getattr(held, key)}, but {getattr(asked, key)} is wanted; "
                "use the store's setting or another folder"
            )


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest, of this format version.

    Raises:
        InputError: no finished store, a damaged manifest, another format version.
    """
    file = path / MANIFEST
    if not file.exists():
        state = "no such folder" if not path.is_dir() else f"holds no {MANIFEST}, so no finished store lies there"
        raise InputError(f"{path}: {state}; make one with `moedsr data prepare`")
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
        version = manifest["format_version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file}: is no manifest of a surface store ({error}); prepare the store again") from error
    if version != FORMAT_VERSION:
        raise InputError(f"{path}: has store format {version}, but must have {FORMAT_VERSION}; prepare it again")
    return dict(manifest)


def read_settings(path: Path, manifest: Mapping[str, Any]) -> PrepareConfig:
    """The settings a manifest holds.

    Raises:
        InputError: damaged settings.
    """
    try:
        return PrepareConfig.model_validate_json(json.dumps(manifest.get("settings")))
    except ValidationError as error:
        raise InputError(f"{path / MANIFEST}: its settings are damaged; prepare the store again") from error


def read_table(path: Path) -> list[ProteinEntry]:
    """All proteins.

    Raises:
        InputError: missing or damaged table.
    """
    file = path / TABLE
    try:
        rows = pq.read_table(file, schema=_SCHEMA, page_checksum_verification=True).to_pylist()
        return [ProteinEntry(**{**row, "centre": tuple(row["centre"])}) for row in rows]
    except (OSError, pa.ArrowException, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else "damaged"
        raise InputError(f"{file}: cannot be read ({reason}); prepare the store again") from error


def check_size(path: Path, entry: ProteinEntry) -> None:
    """Raises InputError unless a protein's file is there and as long as it was written."""
    file = protein_path(path, entry.name)
    if not file.exists():
        raise InputError(f"{file}: is missing; prepare this protein again")
    if (size := file.stat().st_size) != entry.size:
        raise InputError(
            f"{file}: has {size} bytes, but must have {entry.size}; truncated or altered, prepare it again"
        )
