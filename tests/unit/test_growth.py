"""What a cluster can grow to."""

from pathlib import Path

import pytest

from moedsr_platform.cluster.growth import growth
from moedsr_platform.cluster.nodes import Node
from moedsr_platform.sweep_file.schema import Resources

A100 = Path(__file__).resolve().parents[2] / "cluster" / "ray-cluster-a100.yaml"


def test_the_file_of_ray_up_says_it() -> None:
    nodes = growth(Resources(), A100)
    assert nodes.count(Node(cpus=48, gpus=4)) == 8
    assert len(nodes) == 9  # and the head


def test_the_sweep_file_comes_first() -> None:
    resources = Resources(grows_to={"machines": 2, "cpus": 16, "gpus": 1})
    assert growth(resources, A100) == [Node(cpus=16, gpus=1)] * 2


@pytest.mark.parametrize("text", ["", "- a list", "{available_node_types: {}}", "a: [broken"])
def test_a_cluster_that_says_nothing_does_not_grow(text: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    assert growth(Resources(), file) == []
    file.write_text(text)
    assert growth(Resources(), file) == []


def test_no_more_machines_than_the_cluster_may_have(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        "{max_workers: 2, head_node_type: h, available_node_types: {h: {resources: {CPU: 2}}, "
        "w: {resources: {CPU: 8, GPU: 1}, max_workers: 9}}}"
    )
    assert growth(Resources(), file) == [Node(cpus=8, gpus=1)] * 3
