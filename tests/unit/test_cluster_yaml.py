"""Every YAML file under cluster/ is sound, as far as that can be known without a cluster."""

import configparser
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


def test_ray_up_makes_a_cluster_that_asks_for_a_token() -> None:
    (cluster,) = load(ROOT / "cluster" / "ray-cluster-a100.yaml")
    assert "--env=RAY_AUTH_MODE=token" in cluster["docker"]["run_options"]
    assert "/root/.ray/auth_token" in cluster["file_mounts"]


def closed(properties: dict[str, Any], required: tuple[str, ...] = ()) -> dict[str, Any]:
    """Nothing but these keys."""
    return {
        "type": "object", "properties": properties, "required": list(required), "additionalProperties": False
    }  # fmt: skip


TEXT, WHOLE, FLAG = {"type": "string"}, {"type": "integer", "minimum": 0}, {"type": "boolean"}
TEXTS = {"type": "object", "additionalProperties": TEXT}
CONTAINER = closed(
    {
        "name": TEXT,
        "image": TEXT,
        "env": {"type": "array", "items": closed({"name": TEXT, "value": TEXT, "valueFrom": {}}, ("name",))},
        "ports": {"type": "array", "items": closed({"name": TEXT, "containerPort": WHOLE}, ("containerPort",))},
        "resources": closed({"requests": TEXTS, "limits": TEXTS}),
        "volumeMounts": {"type": "array", "items": closed({"name": TEXT, "mountPath": TEXT}, ("name", "mountPath"))},
    },
    ("name", "image", "resources"),
)
POD = closed(
    {
        "spec": closed(
            {
                "containers": {"type": "array", "items": CONTAINER, "minItems": 1},
                "volumes": {"type": "array", "items": {"type": "object", "required": ["name"]}},
                "nodeSelector": TEXTS,
                "tolerations": {"type": "array"},
                "terminationGracePeriodSeconds": WHOLE,
            },
            ("containers",),
        )
    },
    ("spec",),
)
CLUSTER_SPEC = closed(
    {
        "rayVersion": TEXT,
        "authOptions": closed({"mode": {"const": "token"}}, ("mode",)),
        "enableInTreeAutoscaling": FLAG,
        "autoscalerOptions": closed(
            {"upscalingMode": {"enum": ["Default", "Conservative", "Aggressive"]}, "idleTimeoutSeconds": WHOLE}
        ),
        "headGroupSpec": closed(
            {"serviceType": {"const": "ClusterIP"}, "rayStartParams": TEXTS, "template": POD}, ("template",)
        ),
        "workerGroupSpecs": {
            "type": "array",
            "items": closed(
                {
                    "groupName": TEXT,
                    "replicas": WHOLE,
                    "minReplicas": WHOLE,
                    "maxReplicas": WHOLE,
                    "rayStartParams": TEXTS,
                    "template": POD,
                },
                ("groupName", "maxReplicas", "template"),
            ),
        },
    },
    ("rayVersion", "authOptions", "headGroupSpec"),
)
"""What our files use of KubeRay's resources, and nothing else. The files were held against KubeRay's own definitions of
versions 1.6.2 and 1.7.0 as well, which are too large to keep here."""


@pytest.mark.parametrize("name", ["raycluster", "rayjob"])
def test_kuberay_files_ask_for_a_token_and_for_machines_that_exist(name: str) -> None:
    resource = load(ROOT / "cluster" / f"{name}.yaml")[0]
    assert resource["apiVersion"] == "ray.io/v1"
    spec = resource["spec"] if name == "raycluster" else resource["spec"]["rayClusterSpec"]
    jsonschema.validate(spec, CLUSTER_SPEC)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(spec | {"enableAutoscaling": True}, CLUSTER_SPEC)
    assert spec["rayVersion"] == pinned("ray")
    for group in spec["workerGroupSpecs"]:
        assert group.get("minReplicas", 0) <= group["replicas"] <= group["maxReplicas"]
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        mounted = {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}


def test_only_the_clusters_own_pods_reach_it() -> None:
    cluster, policy = load(ROOT / "cluster" / "raycluster.yaml")
    assert (policy["apiVersion"], policy["kind"]) == ("networking.k8s.io/v1", "NetworkPolicy")
    own = {"matchLabels": {"ray.io/cluster": cluster["metadata"]["name"]}}
    assert policy["spec"]["podSelector"] == own
    assert policy["spec"]["policyTypes"] == ["Ingress"]
    assert own in [source.get("podSelector") for rule in policy["spec"]["ingress"] for source in rule["from"]]


def test_nothing_listens_beyond_loopback_outside_of_containers() -> None:
    """A pod or a container has nothing but 0.0.0.0; services, published ports and policies say who reaches it."""
    for path in (ROOT / "cluster" / "ray-cluster-a100.yaml", ROOT / "cluster" / "slurm.sh"):
        text = path.read_text(encoding="utf-8")
        assert "--dashboard-host=127.0.0.1" in text
        assert "0.0.0.0" not in text
    (stack,) = load(ROOT / "cluster" / "mlflow" / "compose.yaml")
    published = {name: service["ports"] for name, service in stack["services"].items() if "ports" in service}
    assert published == {"mlflow": ["${MLFLOW_BIND:-127.0.0.1}:5000:5000"]}
    assert not [name for name, service in stack["services"].items() if "network_mode" in service]


def test_ray_job_runs_an_existing_sweep_with_the_pinned_ray() -> None:
    (job,) = load(ROOT / "cluster" / "rayjob.yaml")
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    dockerfile = (ROOT / "cluster" / "Dockerfile").read_text(encoding="utf-8")
    (image,) = [line.split()[1] for line in dockerfile.splitlines() if line.startswith("WORKDIR")]
    sweep = Path(job["spec"]["entrypoint"].split()[-1])
    assert (ROOT / sweep.relative_to(image)).is_file()
    assert job["spec"]["rayClusterSpec"]["rayVersion"] == pinned("ray")
    assert "MLFLOW_TRACKING_URI" in yaml.safe_load(job["spec"]["runtimeEnvYAML"])["env_vars"]


SERVICE = closed(
    {
        "image": TEXT,
        "build": closed({"dockerfile_inline": TEXT}),
        "command": {"anyOf": [TEXT, {"type": "array", "items": TEXT}]},
        "entrypoint": {"type": "array", "items": TEXT},
        "environment": TEXTS,
        "volumes": {"type": "array", "items": TEXT},
        "ports": {"type": "array", "items": TEXT},
        "configs": {"type": "array", "items": closed({"source": TEXT, "target": TEXT}, ("source", "target"))},
        "healthcheck": closed({"test": {"type": "array"}, "interval": TEXT, "retries": WHOLE}, ("test",)),
        "depends_on": {
            "type": "object",
            "additionalProperties": closed(
                {"condition": {"enum": ["service_healthy", "service_completed_successfully"]}}, ("condition",)
            ),
        },
        "restart": {"enum": ["unless-stopped"]},
    }
)
COMPOSE = closed(
    {
        "name": TEXT,
        "services": {"type": "object", "additionalProperties": SERVICE},
        "configs": {"type": "object", "additionalProperties": closed({"content": TEXT}, ("content",))},
        "volumes": {"type": "object", "additionalProperties": {"type": "null"}},
    },
    ("services",),
)
"""What our file uses of Compose, and nothing else."""


def test_tracking_server_has_the_pinned_version_and_its_parts() -> None:
    (stack,) = load(ROOT / "cluster" / "mlflow" / "compose.yaml")
    jsonschema.validate(stack, COMPOSE)
    assert f"mlflow[auth]=={pinned('mlflow')}" in stack["services"]["mlflow"]["build"]["dockerfile_inline"]
    for service in stack["services"].values():
        assert set(service.get("depends_on", {})) <= set(stack["services"])
        named = {volume.split(":")[0] for volume in service.get("volumes", [])}
        assert named <= set(stack["volumes"])
        assert {config["source"] for config in service.get("configs", [])} <= set(stack["configs"])


def test_tracking_server_has_a_log_in_and_no_password_of_its_own() -> None:
    path = ROOT / "cluster" / "mlflow" / "compose.yaml"
    (stack,) = load(path)
    server = stack["services"]["mlflow"]
    assert "--app-name=basic-auth" in server["command"]
    (mounted,) = server["configs"]
    assert server["environment"]["MLFLOW_AUTH_CONFIG_PATH"] == mounted["target"]
    settings = configparser.ConfigParser()
    settings.read_string(stack["configs"][mounted["source"]]["content"])
    assert settings["mlflow"]["default_permission"] == "EDIT"
    text = path.read_text(encoding="utf-8")
    named, required = (set(re.findall(pattern, text)) for pattern in (r"\$\{(\w+)", r"\$\{(\w+):\?"))
    # no secret has a default that somebody might leave as it is
    assert named - required == {"MLFLOW_SERVER_ALLOWED_HOSTS", "MLFLOW_BIND"}
