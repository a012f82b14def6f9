"""What a Ray cluster can grow to: the machines that its autoscaler may start."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from moedsr_platform.cluster.nodes import Node
from moedsr_platform.sweep_file.schema import Resources

RAY_UP_FILE = Path("~/ray_bootstrap_config.yaml")
"""Where `ray up` leaves the cluster's file on its head node, where jobs run."""


def growth(resources: Resources, file: Path = RAY_UP_FILE) -> list[Node]:
    """The machines that the cluster can have; none when nothing says that it grows.

    ``resources.grows_to`` says it, else the file of `ray up`. KubeRay's autoscaler tells nobody inside the cluster.
    """
    if resources.grows_to is not None:
        machine = resources.grows_to
        return [Node(machine.cpus, machine.gpus)] * machine.machines
    try:
        found = yaml.safe_load(file.expanduser().read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        return []
    return _machines(found if isinstance(found, dict) else {})


def _machines(cluster: Mapping[str, Any]) -> list[Node]:
    nodes: list[Node] = []
    for name, kind in (cluster.get("available_node_types") or {}).items():
        count = 1 if name == cluster.get("head_node_type") else int(kind.get("max_workers", 0))
        offered = kind.get("resources") or {}
        nodes += [Node(float(offered.get("CPU", 0)), float(offered.get("GPU", 0)))] * count
    limit = 1 + int(cluster.get("max_workers", len(nodes)))  # the head is not counted
    return nodes if len(nodes) <= limit else sorted(nodes, key=lambda node: (node.gpus, node.cpus))[-limit:]
