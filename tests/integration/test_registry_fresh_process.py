"""A registered model used in a fresh process: no Ray, no unpickling, no repository on the path."""

import json
import os
import subprocess
import sys
from pathlib import Path

import builders
import pytest
import trimesh

import moedsr
from moedsr.config import Config
from moedsr_platform.tracking.registry import register
from moedsr_platform.tracking.tracker import Tracker

PDB = Path(moedsr.__file__).parent / "structures" / "mini_atlas" / "1vii_A" / "1vii_A.pdb"
SMALL = {
    "data": {"source": "mini-atlas", "prepare": {"surface_points": 200, "grid_spacing": 1.0}},
    "router": {
        "cloud_points": 64, "point_features": 4, "residue_features": 4, "protein_features": 4,
        "hidden_channels": 4, "layers": 1,
    },
    "expert": {"count": 2, "hidden_layers": 2, "hidden_size": 16, "latent_size": 4},
    "evaluation": {"fit_steps": 2, "fit_points": 50},
}  # fmt: skip

SCORE = """
import sys
loading = True
def refuse(event, arguments):
    if loading and event == "pickle.find_class": raise AssertionError(f"something was unpickled: {arguments}")
sys.addaudithook(refuse)
import mlflow, numpy, pandas
pdb = open(sys.argv[1]).read()
model = mlflow.pyfunc.load_model("models:/moe-dsr@candidate")
loading = False  # the surface's compiler unpickles what it has itself just pickled
table = model.predict(pandas.DataFrame({"pdb": [pdb], "times": [[-1.0, 0.5]], "resolution": [24]}))
assert list(table.columns) == ["structure", "time", "vertices", "faces", "touches_border"], table.columns
assert list(table["time"]) == [-1.0, 0.5]
vertices, faces = numpy.array(table["vertices"][0]), numpy.array(table["faces"][0])
assert len(faces) and faces.max() < len(vertices) and vertices.shape[1] == 3
short = model.predict(pandas.DataFrame({"pdb": [pdb], "times": [[0.0]], "resolution": [16]}))
assert len(short) == 1
import moedsr
assert moedsr.__file__.endswith("code/moedsr/__init__.py"), moedsr.__file__
assert not {"ray", "optuna", "moedsr_platform"} & set(sys.modules)
print("fine")
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder whose registry holds an untrained model."""
    folder = tmp_path_factory.mktemp("home")
    config = Config.model_validate_json(json.dumps(SMALL))
    checkpoint = builders.save_untrained(folder / "checkpoint", config)
    with Tracker.open(f"sqlite:///{folder / 'mlflow.db'}") as tracker:
        run = tracker.run_id(tracker.trial_run(None, "t", config, {}))
    register(checkpoint, run, metrics={"val/iou": 0.1}, uri=f"sqlite:///{folder / 'mlflow.db'}")
    return folder


def test_it_loads_without_ray_pickle_or_repository(home: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{home / 'mlflow.db'}"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [sys.executable, "-P", "-c", SCORE, str(PDB)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.endswith("fine\n")


def test_predict_writes_watertight_surfaces_about_the_protein(home: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "MOEDSR_HOME": str(home)}
    environment.pop("MLFLOW_TRACKING_URI", None)
    command = [sys.executable, "-m", "moedsr_platform", "predict", "models:/moe-dsr@candidate", str(PDB)]
    command += ["--times", "-1:1:3", "--resolution", "32", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    files = sorted((tmp_path / "out").iterdir())
    assert [file.name for file in files] == [
        "1vii_A_000_t-1.000.ply", "1vii_A_001_t+0.000.ply", "1vii_A_002_t+1.000.ply"
    ]  # fmt: skip
    atoms = [line for line in PDB.read_text().splitlines() if line.startswith("ATOM")]
    centre = [sum(float(line[at : at + 8]) for line in atoms) / len(atoms) for at in (30, 38, 46)]
    for file in files:
        mesh = trimesh.load(file)
        assert mesh.is_watertight
        assert mesh.volume > 0
        assert mesh.bounds[0] == pytest.approx(centre, abs=40)
        assert file.name in done.stdout
    assert "volume" in done.stdout
    assert "3/3" in done.stderr


def test_several_chains_without_a_choice(home: Path, tmp_path: Path) -> None:
    lines = [line for line in PDB.read_text().splitlines() if line.startswith("ATOM")]
    other = [f"{line[:21]}Z{line[22:]}" for line in lines]
    (tmp_path / "two.pdb").write_text("\n".join([*lines, "TER", *other, "TER", "END", ""]))
    environment = {**os.environ, "MOEDSR_HOME": str(home)}
    environment.pop("MLFLOW_TRACKING_URI", None)
    command = [sys.executable, "-m", "moedsr_platform", "predict", "models:/moe-dsr@candidate"]
    command += [str(tmp_path / "two.pdb"), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("moedsr: ")
    assert done.stderr.count("\n") == 1
    assert "chain" in done.stderr
    assert not (tmp_path / "out").exists()
