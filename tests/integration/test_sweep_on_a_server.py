"""A whole sweep against the team's tracking server, and what others have of it: every report, from another machine's
folder; and its model in an environment that holds what the model asks for and nothing else."""

import json
import os
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pytest
import serving
import torch
import tracking_server
from tracking_server import TrackingServer

import moedsr

PDB = Path(moedsr.__file__).parent / "structures" / "mini_atlas" / "1l2y_A" / "1l2y_A.pdb"
RECORD = {"pdb": PDB.read_text(), "times": [-1.0, 0.5], "resolution": 32}
CHAMPION = "models:/moe-dsr@champion"
WHEELS = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "moedsr" / "wheels"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(tracking_server.missing() is not None, reason=f"needs {tracking_server.missing()}"),
]


@dataclass(frozen=True)
class Team:
    """A server with a finished sweep, and the environment of somebody who has only its address and password."""

    environment: Mapping[str, str]
    client: mlflow.MlflowClient
    parent: Any

    def moedsr(self, *words: str) -> str:
        """What a command prints; it succeeds."""
        line = [sys.executable, "-m", "moedsr_platform", *words]
        done = subprocess.run(line, env=dict(self.environment), capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def files(self, folder: str, run_id: str | None = None) -> set[str]:
        """What the server keeps with a run, the sweep's by default."""
        found = self.client.list_artifacts(run_id or self.parent.info.run_id, folder)
        return {item.path.removeprefix(f"{folder}/") for item in found}


@pytest.fixture(scope="module")
def team(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_file: Callable[..., Path],
    make_environment: Callable[[Path], dict[str, str]],
) -> Iterator[Team]:
    """Two backbones with two numbers of experts each, swept, promoted and scored."""
    server = TrackingServer()
    try:
        server.start()
        folder = tmp_path_factory.mktemp("team")
        file = tiny_file(folder / "team.yaml")
        searched = "  expert.count: {grid: [2, 3]}"
        text = file.read_text(encoding="utf-8")
        assert searched in text
        file.write_text(text.replace(searched, f"{searched}\n  router.backbone: {{grid: [q_mpnn, dmasif]}}"))
        login = {"MLFLOW_TRACKING_URI": server.uri, **server.login}
        sweep = [sys.executable, "-m", "moedsr_platform", "sweep", str(file)]
        done = subprocess.run(sweep, env=make_environment(folder) | login, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stdout + done.stderr
        other = tmp_path_factory.mktemp("colleague")
        environment = make_environment(other) | login | {"MOEDSR_CACHE": str(other / "cache")}
        with pytest.MonkeyPatch.context() as patch:
            for name, value in login.items():
                patch.setenv(name, value)
            client = mlflow.MlflowClient(server.uri)
            experiment = client.get_experiment_by_name("moe-dsr")
            assert experiment is not None
            (parent,) = client.search_runs([experiment.experiment_id], "tags.`moedsr.kind` = 'sweep'")
            team = Team(environment, client, parent)
            team.moedsr("promote", "moe-dsr", "--alias", "champion")
            team.moedsr("evaluate", CHAMPION, "--split", "val", "--stride", "4")
            yield team
    finally:
        server.close()


@pytest.mark.parametrize(
    ("words", "said", "kept"),
    [
        ("sweep", ("dmasif", "complete", "oracle"), None),
        ("table1 --split val", ("1vii_A", "zero-code", "oracle"), None),
        (f"table1 {CHAMPION} --split val", ("1vii_A", "zero-code", "oracle"), None),
        ("table3", ("Identity of two proteins", "1crn_A"), None),
        ("table4", ("dmasif", "q_mpnn", "expert.count"), ("report", {"router.backbone.csv", "router.backbone.png"})),
        ("figure3", ("Number of experts",), ("report", {"expert.count.csv", "expert.count.png"})),
        ("by expert.count", ("Scores by expert.count",), ("report", {"expert.count.csv", "expert.count.png"})),
        ("importance", ("fANOVA", "router.backbone"), ("search", {"importance.png", "history.png"})),
        ("experts", ("1vii_A", "gate 0"), None),
    ],
)
def test_reports_need_the_server_alone(
    team: Team, tmp_path: Path, words: str, said: tuple[str, ...], kept: tuple[str, set[str]] | None
) -> None:
    out = team.moedsr("report", *words.split(), "--csv", str(tmp_path / "table.csv"))
    assert all(word in out for word in said), out
    assert len((tmp_path / "table.csv").read_text().splitlines()) > 1
    if kept is not None:
        assert kept[1] <= team.files(kept[0])


PREDICT = """
import json, sys
loading = True
def refuse(event, arguments):
    if loading and event == "pickle.find_class": raise AssertionError(f"something was unpickled: {arguments}")
sys.addaudithook(refuse)
import mlflow, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
loading = False  # the surface's compiler unpickles what it has itself just pickled
rows = model.predict(pandas.DataFrame([json.loads(sys.argv[2])])).to_dict("records")
import moedsr
assert moedsr.__file__.endswith("code/moedsr/__init__.py"), moedsr.__file__
print(json.dumps(rows))
"""

OWN = """
import json, sys
from pathlib import Path
from moedsr.inference.inference import SurfacePredictor
from moedsr_platform.tracking.model_reference import resolve
record = json.loads(sys.argv[2])
surfaces = SurfacePredictor.load(resolve(sys.argv[1])).predict(
    Path(sys.argv[3]), record["times"], resolution=record["resolution"]
)
print(json.dumps([[surface.mesh.vertices.tolist(), surface.mesh.faces.tolist()] for surface in surfaces]))
"""


def test_the_model_works_where_only_its_requirements_are(team: Team, tmp_path: Path) -> None:
    """No Ray, no project, no full MLflow: loaded over HTTP, and served; to the last bit what the project computes."""
    flavour = f"torch-{torch.__version__}-{sys.implementation.cache_tag}-*"
    wheel = next(WHEELS.glob(f"{flavour}/torch_cluster-*.whl"), None)
    if wheel is None:
        pytest.skip(f"needs the wheel of torch-cluster that `make setup` keeps in {WHEELS}")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in team.environment.items():
            patch.setenv(name, value)
        requirements = mlflow.artifacts.download_artifacts(f"{CHAMPION}/requirements.txt", dst_path=str(tmp_path))
    names = {line.split("==")[0] for line in Path(requirements).read_text().split()}
    assert not names & {"ray", "mlflow", "optuna", "moedsr"}
    venv.create(tmp_path / "clean", with_pip=True)
    python = tmp_path / "clean" / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "-q", "--find-links", str(wheel.parent), "-r", requirements]
    subprocess.run(pip, check=True, timeout=1800, stderr=subprocess.DEVNULL)
    there = json.loads(subprocess.check_output([str(python), "-m", "pip", "list", "--format", "json"], text=True))
    assert not {one["name"].lower() for one in there} & {"ray", "mlflow", "optuna", "moedsr"}

    environment = {key: value for key, value in team.environment.items() if key != "PYTHONPATH"}
    same = tmp_path / "structure.pdb"  # what the model itself calls it: surfaces are sampled by a file's name
    same.write_text(RECORD["pdb"])
    arguments = [CHAMPION, json.dumps(RECORD), str(same)]
    own = subprocess.check_output([sys.executable, "-c", OWN, *arguments], env=dict(team.environment), text=True)
    loaded = subprocess.check_output(
        [str(python), "-P", "-c", PREDICT, *arguments], env=environment, cwd=tmp_path, text=True
    )
    with serving.served(CHAMPION, python, environment, tmp_path) as address:
        answered = serving.ask(address, RECORD)
    expected = json.loads(own)
    assert [row["time"] for row in answered] == RECORD["times"]
    for rows in (json.loads(loaded), answered):
        assert [[row["vertices"], row["faces"]] for row in rows] == expected
    assert all(vertices and faces for vertices, faces in expected)
