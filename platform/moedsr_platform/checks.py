"""The checks of `moedsr doctor`: each says what it found and, where something is wrong, what to do."""

import importlib
import importlib.metadata
import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from moedsr.errors import InputError

PACKAGES = ("torch", "torch-cluster", "e3nn", "mdtraj", "scikit-image", "ray", "mlflow", "optuna")
LEAST_FREE_GIB = 5


@dataclass(frozen=True)
class Finding:
    """``ok``: works. ``note``: works, with something to know. ``bad``: a sweep cannot run."""

    level: Literal["ok", "note", "bad"]
    text: str
    advice: str = ""


def python() -> Finding:
    """The interpreter."""
    return Finding("ok", f"{'.'.join(str(part) for part in sys.version_info[:3])} ({sys.executable})")


def packages() -> Finding:
    """Versions of what everything stands on; a compiled package must also import."""
    versions, missing = [], []
    for name in PACKAGES:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return Finding("bad", f"missing: {', '.join(missing)}", "run `make` in the repository, or see README.md")
    try:
        importlib.import_module("torch_cluster")
    except (ImportError, OSError) as error:
        return Finding(
            "bad",
            f"torch-cluster does not load: {error}",
            "it was built for another torch: build it again, which takes a C++ compiler (README.md)",
        )
    return Finding("ok", ", ".join(versions))


def devices() -> Finding:
    """What trials compute on."""
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        return Finding("ok", f"{len(names)} CUDA: {', '.join(names)}; {os.cpu_count()} CPU cores")
    return Finding(
        "note",
        f"no CUDA device, {os.cpu_count()} CPU cores",
        "enough for sweeps/quickstart.yaml; not for paper size",
    )


def ray_cluster() -> Finding:
    """Whether RAY_ADDRESS answers; without it a sweep starts a Ray of its own."""
    address = os.environ.get("RAY_ADDRESS")
    if not address:
        return Finding("ok", "RAY_ADDRESS is not set: a sweep starts a Ray of its own")
    from moedsr_platform.tracking.store import answers

    host, _, port = address.split("://")[-1].partition(":")
    if address not in ("auto", "local") and not answers(host, int(port or 6379)):
        return Finding("bad", f"RAY_ADDRESS={address} does not answer", "start it with `ray start --head`, or unset it")
    return Finding("ok", f"RAY_ADDRESS={address}")


def tracking() -> Finding:
    """Whether runs can be stored."""
    from moedsr_platform.tracking.store import check_store, sqlite_path, store_uri

    uri = store_uri()
    path = sqlite_path(uri)
    try:
        check_store(uri)
    except InputError as error:
        return Finding("bad", uri, str(error))
    if path is not None and not path.exists():
        return Finding("ok", f"{uri} (made by the first sweep)")
    return Finding("ok", uri)


def disk() -> Finding:
    """Room for checkpoints and stores."""
    from moedsr_platform.tracking.store import results_folder

    folder = next(parent for parent in (results_folder(), *results_folder().parents) if parent.exists())
    free = shutil.disk_usage(folder).free / 2**30
    text = f"{free:.0f} GiB free for results in {folder}"
    if free < LEAST_FREE_GIB:
        return Finding("note", text, "set MOEDSR_HOME to a folder with more room")
    return Finding("ok", text)


def cache() -> Finding:
    """Where prepared stores and downloaded models are kept."""
    from moedsr_platform.tracking.store import cache_folder

    folder = cache_folder()
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not os.access(existing, os.W_OK):
        return Finding("bad", f"{folder} cannot be written", "set MOEDSR_CACHE to a folder of yours")
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) if folder.exists() else 0
    return Finding("ok", f"{folder} ({size / 2**20:.0f} MiB; may be deleted at any time)")


def extras() -> Finding:
    """What single commands need."""
    missing = []
    if shutil.which("mmseqs") is None:
        missing.append("`moedsr data split` needs MMseqs2 (apt install mmseqs2)")
    if any(importlib.util.find_spec(name) is None for name in ("openmm", "pdbfixer")):
        missing.append('`moedsr data simulate` needs OpenMM and PDBFixer (pip install -e ".[md]")')
    return Finding("note", "; ".join(missing)) if missing else Finding("ok", "MMseqs2, OpenMM, PDBFixer")


CHECKS: Mapping[str, Callable[[], Finding]] = {
    "python": python,
    "packages": packages,
    "devices": devices,
    "ray": ray_cluster,
    "tracking store": tracking,
    "disk": disk,
    "cache": cache,
    "extras": extras,
}


def run_check(check: Callable[[], Finding]) -> Finding:
    """A check that breaks is a finding too: one broken part must not hide the others."""
    try:
        return check()
    except Exception as error:
        return Finding("bad", f"{type(error).__name__}: {error}", "run `moedsr --debug doctor`, or reinstall")
