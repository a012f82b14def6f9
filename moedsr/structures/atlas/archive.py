"""What an entry's archive may contain, and taking only that out of it.

Archives come from elsewhere: names that lead out of the folder, links, repeated names and contents that swell
without bound are refused, whatever else the archive holds.
"""

import re
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from moedsr.structures.atlas.catalogue import REPLICAS

_CHUNK = 1 << 20
_LARGEST_RATIO = 60.0  # trajectories hardly shrink and PDB files about fivefold; zeros shrink a thousandfold
_SMALL = 1 << 20  # bytes, below which a ratio says nothing


class DamagedArchiveError(Exception):
    """An archive that did not arrive as it was made; fetching it again may help."""


class RefusedArchiveError(Exception):
    """An archive that is not what it should be; fetching it again does not help."""


def unpack(archive: Path, name: str, folder: Path) -> dict[str, int]:
    """Takes an entry's P0 and replicas out of its archive, with every byte checked; their names and sizes.

    Both spellings of ATLAS are known, ``{id}_prod_R{n}_fit.xtc`` (taken where both are there) and
    ``{id}_R{n}.xtc``, and one folder around the files or none.

    Args:
        archive: ZIP file.
        name: of the entry.
        folder: where to, existing and empty.

    Raises:
        DamagedArchiveError: no ZIP file, truncated, a checksum that differs.
        RefusedArchiveError: hostile, or without one of the expected files.
        OSError: the folder cannot be written.
    """
    try:
        with zipfile.ZipFile(archive) as file:
            wanted = _expected(_by_name(file.infolist()), name)
            for member in wanted:
                _check(member, archive.stat().st_size)
            return {_base(member): _extract(file, member, folder / _base(member)) for member in wanted}
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DamagedArchiveError(f"damaged archive: {error}") from error
    except (NotImplementedError, RuntimeError) as error:  # unknown compression, encryption
        raise RefusedArchiveError(f"archive of another kind: {error}") from error


def _by_name(members: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    """Files by their last name; none may lead out, and none of those at most one folder deep may repeat."""
    found: dict[str, zipfile.ZipInfo] = {}
    for member in members:
        path = PurePosixPath(member.filename)
        if path.is_absolute() or ".." in path.parts or "\\" in member.filename or ":" in path.parts[0]:
            raise RefusedArchiveError(f"archive with a path out of its folder: {member.filename!r}")
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise RefusedArchiveError(f"archive with a link or a device: {member.filename!r}")
        if member.is_dir() or len(path.parts) > 2:
            continue
        if path.name in found:
            raise RefusedArchiveError(f"archive with two files {path.name!r}")
        found[path.name] = member
    return found


def _expected(members: dict[str, zipfile.ZipInfo], name: str) -> list[zipfile.ZipInfo]:
    if f"{name}.pdb" not in members:
        raise RefusedArchiveError(f"archive without {name}.pdb")
    spellings = [
        [f"{name}_prod_R{number}_fit.xtc" for number in REPLICAS],
        [f"{name}_R{number}.xtc" for number in REPLICAS],
    ]
    for spelling in spellings:
        if all(file in members for file in spelling):
            return [members[f"{name}.pdb"], *(members[file] for file in spelling)]
    nearest = max(spellings, key=lambda files: sum(file in members for file in files))
    lacking = next(file for file in nearest if file not in members)
    others = ", ".join(sorted(file for file in members if re.search(r"\.xtc$", file))[:3]) or "no trajectory"
    raise RefusedArchiveError(f"archive without {lacking}; it holds {others}")


def _check(member: zipfile.ZipInfo, archive_size: int) -> None:
    swelling = member.file_size / max(member.compress_size, 1)
    if member.compress_size > archive_size or (member.file_size > _SMALL and swelling > _LARGEST_RATIO):
        raise RefusedArchiveError(f"archive in which {_base(member)} swells {swelling:.0f}-fold")
    if member.file_size == 0:
        raise RefusedArchiveError(f"archive in which {_base(member)} is empty")


def _extract(file: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> int:
    size = 0
    with file.open(member) as source, path.open("xb") as target:
        while chunk := source.read(_CHUNK):  # never yields more than the size that was checked
            target.write(chunk)
            size += len(chunk)
    if size != member.file_size:
        raise DamagedArchiveError(f"damaged archive: {path.name} ends after {size} of {member.file_size} bytes")
    return size


def _base(member: zipfile.ZipInfo) -> str:
    return PurePosixPath(member.filename).name
