"""Ray clusters of several nodes on this machine, each of which can be killed."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

RAY = Path(sys.executable).parent / "ray"
NODE = "MOEDSR_TEST_NODE"
"""In the environment of all processes of a node: its name."""
_COMMANDS = ("initialization_commands", "setup_commands", "head_setup_commands", "worker_setup_commands",
             "head_start_ray_commands", "worker_start_ray_commands", "cluster_synced_files", "rsync_exclude",
             "rsync_filter")  # fmt: skip


class RayNodes:
    """A head, usually without resources of its own, and nodes that are added; all of them end with the context.

    Args:
        environment: of every process, which marks them as this test's.
        folder: for logs.
        starts: where the head is to start nodes by itself when they are needed: resources of one, and how many at most.
        head_cpus: of the head itself.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        folder: Path,
        *,
        starts: tuple[dict[str, int], int] | None = None,
        head_cpus: int = 0,
    ) -> None:
        self._starts, self._cpus = starts, head_cpus
        # a head takes a token as soon as one lies in its user's home, but the nodes are told nothing of it
        self._login = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        self._environment = {
            **environment,
            **self._login,
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_health_check_initial_delay_ms": "1000",  # a lost node is noticed in seconds
            "RAY_health_check_period_ms": "500",
            "RAY_health_check_timeout_ms": "2000",
        }
        self._folder = folder
        # sockets lie below it, and a socket's path must stay under 108 characters
        self._temporary = Path(tempfile.mkdtemp(prefix="ray-"))
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.driver = {"RAY_ADDRESS": self.address, **self._login}  # what the environment of a driver needs
        self._nodes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        self._start("head", self._cpus, 0, "--head", f"--port={self.port}", f"--ray-client-server-port={free_port()}",
                    f"--temp-dir={self._temporary}", "--include-dashboard=false", *self._autoscaler())  # fmt: skip
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for name in [*self._nodes]:
            self.kill(name)
        shutil.rmtree(self._temporary, ignore_errors=True)

    def add(self, name: str, *, cpus: int, gpus: int = 0) -> None:
        """A node more, which is there when this returns."""
        self._start(name, cpus, gpus, f"--address={self.address}")

    def kill(self, name: str) -> None:
        """kill -9 of all processes of a node, as when its machine loses its power."""
        for pid in self.processes(name):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._nodes.pop(name).wait(20)

    def kill_raylet(self, name: str) -> None:
        """kill -9 of the one process that holds a node together; the others notice."""
        (pid,) = [pid for pid in self.processes(name) if b"/raylet/raylet" in _read(pid, "cmdline")]
        os.kill(pid, signal.SIGKILL)

    def processes(self, name: str) -> list[int]:
        """Ids of a node's processes."""
        mark, own = f"{NODE}={name}".encode(), f"FAKE_LOG={self._environment['FAKE_LOG']}".encode()
        pids = [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]
        return [pid for pid in pids if {mark, own} <= set(_read(pid, "environ").split(b"\0"))]

    def _autoscaler(self) -> list[str]:
        """Ray's own stand-in for a cloud: its nodes are processes of this machine."""
        if self._starts is None:
            return []
        resources, most = self._starts
        kinds = {
            "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
            "worker": {"resources": resources, "node_config": {}, "min_workers": 0, "max_workers": most},
        }
        config = {
            "cluster_name": "fake_multinode",
            "max_workers": most,
            "head_node_type": "ray.head.default",
            "provider": {
                "type": "fake_multinode",
                "head_node_id": "fffffffffffffffffffffffffffffffffffffffffffffffffff00000",
                "gcs_address": self.address,
                # all share one address, and are processes: none is reached by ssh, nor mended by it
                "use_node_id_as_ip": True,
                "disable_node_updaters": True,
                "launch_multiple": True,
            },
            "available_node_types": kinds,
            "upscaling_speed": 1.0,
            "idle_timeout_minutes": 5,
            **{name: {} for name in ("auth", "docker", "file_mounts")},
            **{name: [] for name in _COMMANDS},
        }
        self._environment |= {"AUTOSCALER_UPDATE_INTERVAL_S": "1", "RAY_FAKE_CLUSTER": "1"}
        place = self._folder / "autoscaler.json"
        place.write_text(json.dumps(config), encoding="utf-8")
        return [f"--autoscaling-config={place}"]

    def _start(self, name: str, cpus: int, gpus: int, *more: str) -> None:
        line = [str(RAY), "start", "--block", f"--num-cpus={cpus}", f"--num-gpus={gpus}", "--node-ip-address=127.0.0.1",
                "--object-store-memory=100000000", "--disable-usage-stats",
                f"--dashboard-agent-listen-port={free_port()}", f"--metrics-export-port={free_port()}",
                *more]  # fmt: skip
        place, deadline = self._folder / f"{name}.log", time.monotonic() + 120
        with place.open("wb") as log:
            self._nodes[name] = subprocess.Popen(
                line, env={**self._environment, NODE: name}, cwd=self._folder, stdout=log, stderr=log
            )
        while "Ray runtime started" not in place.read_text():
            assert self._nodes[name].poll() is None, place.read_text()
            assert time.monotonic() < deadline, place.read_text()
            time.sleep(0.2)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""  # gone, or not ours
