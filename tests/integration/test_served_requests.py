"""What a served model answers to a request, right or wrong; MLflow's server without its processes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import builders
import mlflow
import pytest
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import scoring_server

import moedsr
from moedsr_platform.tracking.registry import register
from moedsr_platform.tracking.tracker import Tracker

PDB = (Path(moedsr.__file__).parent / "structures" / "mini_atlas" / "1l2y_A" / "1l2y_A.pdb").read_text()
ATOMS = "\n".join(line for line in PDB.splitlines() if line.startswith("ATOM"))
TWO_CHAINS = ATOMS + "\n" + "\n".join(line[:21] + "B" + line[22:] for line in ATOMS.splitlines())

Ask = Callable[[dict[str, Any]], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """The rows that a request is answered with."""
    folder = tmp_path_factory.mktemp("served")
    config = builders.small_config()
    quick = config.evaluation.model_copy(update={"fit_steps": 2, "fit_points": 50})
    config = config.model_copy(update={"evaluation": quick})
    checkpoint = builders.save_untrained(folder / "checkpoint", config)
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    with Tracker.open(uri) as tracker:
        run = tracker.run_id(tracker.trial_run(None, "t", config, {}))
        register(checkpoint, run, metrics={}, uri=uri)
        location = tracker.client.get_model_version_download_uri("moe-dsr", "1")
    model = mlflow.pyfunc.load_model(location)

    def answered(record: dict[str, Any]) -> list[dict[str, Any]]:
        body = json.dumps({"dataframe_records": [record]})
        answer = scoring_server.invocations(body, "application/json", model, model.metadata.get_input_schema())
        assert answer.status == 200
        return json.loads(answer.response)["predictions"]

    return answered


@pytest.mark.parametrize("times", [[-1, 0, 1], [-0.5], [0.25, 1]])
def test_whole_numbers_and_decimals_are_times(ask: Ask, times: list[float]) -> None:
    rows = ask({"pdb": PDB, "times": times, "resolution": 16})
    assert [row["time"] for row in rows] == times
    assert {row["structure"] for row in rows} == {0}


def test_what_is_left_out_has_defaults(ask: Ask) -> None:
    assert [row["time"] for row in ask({"pdb": PDB, "resolution": 16})] == [-1.0, -0.5, 0.0, 0.5, 1.0]


def test_a_chain_is_chosen(ask: Ask) -> None:
    (row,) = ask({"pdb": TWO_CHAINS, "chain": "B", "times": [0], "resolution": 16})
    assert row["time"] == 0


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"pdb": "no structure"}, "structure 0: "),
        ({"pdb": ""}, "structure 0: "),
        ({"pdb": TWO_CHAINS}, "structure 0: holds 2 protein chains (A, B); choose with `chain`"),
        ({"pdb": PDB, "chain": "Z"}, "structure 0: has no protein chain `Z`"),
        ({"pdb": PDB, "times": ["now"]}, "structure 0: times holds 'now', but must hold numbers"),
        ({"pdb": PDB, "times": ["0.5"]}, "structure 0: times holds '0.5', but must hold numbers"),
        ({"pdb": PDB, "times": [True]}, "structure 0: times holds True, but must hold numbers"),
        ({"pdb": PDB, "times": [[0.0]]}, "structure 0: times holds [0.0], but must hold numbers"),
        ({"pdb": PDB, "times": "soon"}, "Expected data to be list"),
        ({"pdb": PDB, "times": 0.5}, "Expected data to be list"),
        ({"pdb": PDB, "times": []}, "structure 0: no time is given"),
        ({"pdb": PDB, "times": [0.0, 1.5]}, "structure 0: time 1.5 is outside [-1, 1]"),
        ({"pdb": PDB, "times": [None]}, "structure 0: times holds"),
        ({"pdb": PDB, "resolution": 1_000_000}, "structure 0: resolution is 1000000, but must be from 16 to 1024"),
        ({"pdb": PDB, "resolution": 0}, "structure 0: resolution is 0, but must be from 16 to 1024"),
        ({"pdb": PDB, "resolution": "fine"}, "resolution"),
        ({"times": [0.0]}, "pdb"),
        ({"pdb": 5}, "pdb"),
    ],
)
def test_a_wrong_request_is_told_in_one_line(ask: Ask, record: dict[str, Any], said: str) -> None:
    with pytest.raises(MlflowException) as caught:
        ask(record)
    answer = json.loads(caught.value.serialize_as_json())
    assert 400 <= caught.value.get_http_status_code() < 500
    assert said in answer["message"]
    assert "stack_trace" not in answer
    assert "/tmp" not in answer["message"]
