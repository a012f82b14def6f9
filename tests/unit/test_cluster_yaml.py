"""Every YAML file under cluster/ is sound, as far as that can be known without a cluster."""

import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(path for suffix in ("*.yaml", "*.yml") for path in (ROOT / "cluster").rglob(suffix))
RAY_CLUSTERS = [path for path in FILES if path.name.startswith("ray-cluster")]


def load(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def pinned(name: str) -> str:
    found = re.search(rf"^{name}==(\S+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert found, name
    return found[1]


def test_there_are_files() -> None:
    assert len(FILES) >= 3
    assert RAY_CLUSTERS


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_parses_to_mappings(path: Path) -> None:
    documents = load(path)
    assert documents
    assert all(isinstance(document, dict) and document for document in documents)


@pytest.mark.parametrize("path", RAY_CLUSTERS, ids=lambda path: path.name)
def test_ray_accepts_the_cluster(path: Path) -> None:
    schema = json.loads(resources.files("ray").joinpath("autoscaler/ray-schema.json").read_text(encoding="utf-8"))
    (cluster,) = load(path)
    jsonschema.validate(cluster, schema)
    assert cluster["head_node_type"] in cluster["available_node_types"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(cluster | {"max_worker": 1}, schema)


def test_ray_job_runs_an_existing_sweep_with_the_pinned_ray() -> None:
    (job,) = load(ROOT / "cluster" / "rayjob.yaml")
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    dockerfile = (ROOT / "cluster" / "Dockerfile").read_text(encoding="utf-8")
    (image,) = [line.split()[1] for line in dockerfile.splitlines() if line.startswith("WORKDIR")]
    sweep = Path(job["spec"]["entrypoint"].split()[-1])
    assert (ROOT / sweep.relative_to(image)).is_file()
    assert job["spec"]["rayClusterSpec"]["rayVersion"] == pinned("ray")
    assert "MLFLOW_TRACKING_URI" in yaml.safe_load(job["spec"]["runtimeEnvYAML"])["env_vars"]


def test_tracking_server_has_the_pinned_version_and_its_parts() -> None:
    (stack,) = load(ROOT / "cluster" / "mlflow" / "compose.yaml")
    assert f"mlflow=={pinned('mlflow')}" in stack["services"]["mlflow"]["build"]["dockerfile_inline"]
    for service in stack["services"].values():
        assert set(service.get("depends_on", {})) <= set(stack["services"])
        named = {volume.split(":")[0] for volume in service.get("volumes", [])}
        assert named <= set(stack["volumes"])
