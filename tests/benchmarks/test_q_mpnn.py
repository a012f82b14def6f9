"""Q-MPNN against the formula edge by edge with e3nn: forward and backward, time and peak memory.

2048 points on a bumpy sphere with the area of a protein of 214 residues, σ_d = 9 Å. Times are medians in turn, of the
process' own CPU time or by the clock until a GPU is done; memory is what a fresh process takes at its peak beyond what
it held before, or what tensors on the GPU do.
"""

import math
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from benchmarks.edgewise import EdgewiseQMPNN
from benchmarks.test_experts import CPU_AND_GPU, seconds

from moedsr.batches.batch import CloudPairs, ProteinBatch
from moedsr.config import RouterConfig
from moedsr.geometry.quasi_geodesic import quasi_geodesic_pairs
from moedsr.models.router.encoders.q_mpnn import QMPNN

pytestmark = pytest.mark.benchmark

POINTS, AREA, REPEATS = 2048, 9600.0, {"cpu": 3, "cuda": 15}
ROUNDING = {"cpu": 1e-5, "cuda": 1e-4}
"""On a GPU sums over neighbours come in any order; in float64 all are the same (tests/unit/test_on_gpu.py)."""
KINDS = ("edge by edge", "ours", "ours, recomputed", "openequivariance")


def cloud() -> ProteinBatch:
    """A Fibonacci lattice on a sphere, roughened; its neighbours known, as they are from the second step on."""
    random = torch.Generator().manual_seed(0)
    place = torch.arange(POINTS) + 0.5
    polar, around = torch.acos(1 - 2 * place / POINTS), math.pi * (1 + 5**0.5) * place
    out = torch.stack([around.cos() * polar.sin(), around.sin() * polar.sin(), polar.cos()], -1)
    normals = torch.nn.functional.normalize(out + 0.6 * torch.randn(POINTS, 3, generator=random), dim=-1)
    points = out * (math.sqrt(AREA / 4 / math.pi) + 1.5 * torch.randn(POINTS, 1, generator=random))
    proteins = ProteinBatch(
        points=points,
        normals=normals,
        point_protein=torch.zeros(POINTS, dtype=torch.long),
        residue_positions=torch.zeros(1, 3),
        residue_types=torch.zeros(1, dtype=torch.long),
        residue_protein=torch.zeros(1, dtype=torch.long),
        scale=torch.full((1,), 40.0),
        code_index=torch.zeros(1, dtype=torch.long),
    )
    target, source, distance = quasi_geodesic_pairs(
        points=points, normals=normals, protein=proteins.point_protein, smoothing=2.5, radius=9.0
    )
    return replace(proteins, cloud_pairs=CloudPairs(target=target, source=source, distance=distance))


def step(kind: str, l_max: int, device: str = "cpu") -> Callable[[], torch.Tensor]:
    """Forward and backward of all layers; the result is the features of the points."""
    torch.manual_seed(0)
    product = kind if kind == "openequivariance" else "torch"
    config = RouterConfig(l_max=l_max, recompute_messages=kind == "ours, recomputed", tensor_product=product)
    encoder = QMPNN(config)
    proteins, features = cloud().to(device), torch.randn(POINTS, config.point_features).to(device)
    encoder, oracle = encoder.to(device), EdgewiseQMPNN(encoder).to(device)

    def run() -> torch.Tensor:
        encoder.zero_grad()
        result = (oracle if kind == "edge by edge" else encoder.point_features)(proteins, features)
        result.square().mean().backward()
        return result.detach()

    return run


def peak(kind: str, l_max: int, device: str) -> float:
    """MiB that a step takes at its peak, beyond what the process, or the GPU, held before it."""
    if device == "cuda":
        run = step(kind, l_max, device)
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    code = f"from benchmarks.test_q_mpnn import rise; rise({kind!r}, {l_max})"
    environment = {"PYTHONPATH": ":".join(path for path in sys.path if path)}
    printed = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, check=True
    ).stdout
    return float(printed)


def rise(kind: str, l_max: int) -> None:
    run = step(kind, l_max)
    before = highest()
    run()
    sys.stdout.write(str((highest() - before) / 1024))


def highest() -> int:
    """KiB, the most memory that this process has had; ru_maxrss would start from that of its parent."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])


@pytest.mark.parametrize("device", CPU_AND_GPU)
@pytest.mark.parametrize("l_max", [1, 2])
def test_against_edge_by_edge(l_max: int, device: str, capsys: pytest.CaptureFixture[str]) -> None:
    kinds = [kind for kind in KINDS if kind != "openequivariance" or (device == "cuda" and find_spec(kind))]
    runs = {kind: step(kind, l_max, device) for kind in kinds}
    results = {kind: run() for kind, run in runs.items()}
    for kind in kinds[1:]:
        torch.testing.assert_close(results[kind], results[KINDS[0]], atol=ROUNDING[device], rtol=ROUNDING[device])
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(REPEATS[device]):
        for kind, run in runs.items():
            started = seconds(device)
            run()
            times[kind].append(seconds(device) - started)
    median = {kind: statistics.median(times[kind]) for kind in kinds}
    memory = {kind: peak(kind, l_max, device) for kind in kinds}
    pairs = cloud().cloud_pairs
    assert pairs is not None
    with capsys.disabled():
        print(
            f"\n{device}, l_max {l_max}, {POINTS} points, {len(pairs.target) / POINTS:.0f} neighbours each, 3 layers:"
        )
        for kind in kinds:
            faster, leaner = median[KINDS[0]] / median[kind], memory[KINDS[0]] / memory[kind]
            print(
                f"  {kind:17} {median[kind]:8.4f} s, {memory[kind]:5.0f} MiB:"
                f" {faster:4.1f} times as fast, {leaner:4.1f} times as lean"
            )
