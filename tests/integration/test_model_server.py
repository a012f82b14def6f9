"""`mlflow models serve` answers a PDB with surfaces."""

import os
import sys
from pathlib import Path

import builders
import pytest
import serving

import moedsr
from moedsr_platform.tracking.registry import register
from moedsr_platform.tracking.tracker import Tracker

pytestmark = pytest.mark.slow

PDB = Path(moedsr.__file__).parent / "structures" / "mini_atlas" / "1l2y_A" / "1l2y_A.pdb"


def test_a_served_model_answers_a_pdb_with_surfaces(tmp_path: Path) -> None:
    config = builders.small_config()
    quick = config.evaluation.model_copy(update={"fit_steps": 2, "fit_points": 50})
    config = config.model_copy(update={"evaluation": quick})
    checkpoint = builders.save_untrained(tmp_path / "checkpoint", config)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    with Tracker.open(uri) as tracker:
        run = tracker.run_id(tracker.trial_run(None, "t", config, {}))
    register(checkpoint, run, metrics={}, uri=uri)
    environment = {**os.environ, "MLFLOW_TRACKING_URI": uri}
    environment.pop("PYTHONPATH", None)
    record = {"pdb": PDB.read_text(), "times": [-1.0, 1.0], "resolution": 24}
    with serving.served("models:/moe-dsr@candidate", Path(sys.executable), environment, tmp_path) as address:
        rows = serving.ask(address, record)
    assert [(row["structure"], row["time"]) for row in rows] == [(0, -1.0), (0, 1.0)]
    for row in rows:
        assert all(len(vertex) == 3 for vertex in row["vertices"])
        assert max(max(face) for face in row["faces"]) == len(row["vertices"]) - 1
