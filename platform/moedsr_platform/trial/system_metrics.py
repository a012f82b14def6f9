"""What a worker takes of its machine; read from the operating system, so that workers need no tracking library."""

import os
import resource
import time
from pathlib import Path

GIB = 2**30
_STATM = Path("/proc/self/statm")


class SystemMetrics:
    """Measures this process from one call of ``read`` to the next."""

    def __init__(self) -> None:
        self._wall, self._busy = time.monotonic(), _cpu_seconds()

    def read(self) -> dict[str, float]:
        """Metrics by name.

        ``system/cpu_utilisation``: CPU cores kept busy on average since the last call; 1 is one core.
        ``system/memory_gib``: resident memory now.
        ``system/gpu_memory_gib``: largest GPU memory that tensors held since the last call; absent without a GPU.
        """
        wall, busy = time.monotonic(), _cpu_seconds()
        cores = (busy - self._busy) / max(wall - self._wall, 1e-9)
        self._wall, self._busy = wall, busy
        return {"system/cpu_utilisation": cores, "system/memory_gib": _resident_bytes() / GIB, **_gpu_memory()}


def _cpu_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _resident_bytes() -> float:
    if _STATM.exists():
        return int(_STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # no /proc on macOS, which counts the peak, in bytes


def _gpu_memory() -> dict[str, float]:
    import torch

    if not (torch.cuda.is_available() and torch.cuda.is_initialized()):
        return {}
    peak = torch.cuda.max_memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    return {"system/gpu_memory_gib": peak / GIB}
