"""The Ray that a sweep starts for itself takes no commands from who cannot read its owner's token."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import os, subprocess, sys
from moedsr_platform.cluster import connection as cluster
cluster.connect(None)
import ray
address = ray.get_runtime_context().gcs_address
join = f"import ray; ray.init(address={address!r}, logging_level='ERROR'); assert ray.nodes()"
bare = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
own = {"RAY_AUTH_MODE": "token"}
for login in (own, {"RAY_AUTH_MODE": "disabled"}, own | {"RAY_AUTH_TOKEN": "0" * 64}):
    done = subprocess.run([sys.executable, "-c", join], env=bare | login, capture_output=True, timeout=120)
    print(done.returncode)
"""


@pytest.mark.slow
def test_only_the_owner_gets_in() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-3:] == ["0", "1", "1"]
