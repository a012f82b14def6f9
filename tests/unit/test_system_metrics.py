"""What a worker takes of its machine."""

import mmap
import time

import torch

from moedsr_platform.trial.system_metrics import SystemMetrics


def test_a_sleeping_process_keeps_no_core_busy_and_a_computing_one_does() -> None:
    system = SystemMetrics()
    time.sleep(0.3)
    assert 0 <= system.read()["system/cpu_utilisation"] < 0.3
    used = time.process_time()
    while time.process_time() - used < 0.3:
        pass
    assert system.read()["system/cpu_utilisation"] > 0.05  # a busy machine gives little


def test_memory_grows_with_what_is_held() -> None:
    system = SystemMetrics()
    before = system.read()["system/memory_gib"]
    with mmap.mmap(-1, 2**28) as held:  # a quarter of a GiB, of pages that no allocator had kept
        held[::4096] = bytes(2**28 // 4096)
        assert 0.2 < system.read()["system/memory_gib"] - before < 0.4


def test_no_gpu_no_metric() -> None:
    assert ("system/gpu_memory_gib" in SystemMetrics().read()) == torch.cuda.is_initialized()
