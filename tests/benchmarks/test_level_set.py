"""Coarse to fine against all nodes at 256³: occupancy, components, evaluations, time; and of experts on a GPU."""

import importlib.util
import time
from collections.abc import Callable
from pathlib import Path

import builders
import numpy as np
import pytest
from benchmarks.test_experts import compare, make
from numpy.typing import NDArray
from scipy import ndimage

from moedsr.geometry.level_set import extract_level_set, values_on_metric_grid
from moedsr.inference.protein_field import ProteinField

pytestmark = pytest.mark.benchmark

NODES = 256


def unit_test_fields() -> dict[str, Callable[[NDArray], NDArray]]:
    path = Path(__file__).parents[1] / "unit" / "test_level_set.py"
    spec = importlib.util.spec_from_file_location("level_set_fields", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {"sphere": module.sphere(0.6), "spheres": module.blobs, "rippled molecule": module.rippled}


@pytest.mark.parametrize(("name", "field"), unit_test_fields().items())
def test_against_all_nodes(name: str, field: Callable[[NDArray], NDArray], capsys: pytest.CaptureFixture[str]) -> None:
    inside, evaluations, seconds = [], [], []
    for lipschitz in (2.0, np.inf):
        seen: list[int] = []

        def counted(points: NDArray, seen: list[int] = seen) -> NDArray:
            seen.append(len(points))
            return field(points)

        started = time.process_time()
        inside.append(values_on_metric_grid(counted, NODES, lipschitz=lipschitz) < 0)
        seconds.append(time.process_time() - started)
        evaluations.append(sum(seen))
    agreement = (inside[0] == inside[1]).mean()
    components = [ndimage.label(each)[1] for each in inside]
    assert agreement >= 0.9999
    assert components[0] == components[1]
    with capsys.disabled():
        print(
            f"\n{name}, {NODES}³: occupancy equal on {agreement:.4%} of the nodes, {components[0]} components in both, "
            f"1/{evaluations[1] / evaluations[0]:.1f} of the evaluations, {seconds[0]:.1f} s against {seconds[1]:.1f} s"
        )


@pytest.mark.gpu
def test_experts_on_a_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    """Two of four experts of 8 layers of 512 for one protein, as they begin: spheres."""
    model, batch = make(experts=4, device="cuda")
    field = ProteinField(model.eval(), builders.select(batch.proteins, [0])).at(0.0)
    for nodes in (128, NODES):
        fine = extract_level_set(field, resolution=nodes)
        ours, theirs = compare(
            lambda nodes=nodes: extract_level_set(field, resolution=nodes),
            lambda nodes=nodes: extract_level_set(field, resolution=nodes, lipschitz=np.inf),
            "cuda",
            repeats=3,
        )
        with capsys.disabled():
            print(f"\n8x512 experts, {nodes}³: {ours:.3f} s with {fine.evaluations} evaluations,", end=" ")
            print(f"{theirs:.3f} s with all {nodes**3}: {theirs / ours:.1f} times as fast")
