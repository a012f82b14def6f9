"""A training whose number of workers changes on the way ends with the weights of one that kept its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from moedsr.config import Config

SCRIPT = Path(__file__).parents[1] / "data" / "train_in_turns.py"


def train(config: Path, workers: int, step: int, checkpoint: Path, port: int, *resume_from: Path) -> None:
    """By so many processes, up to a step."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(workers),
        "OMP_NUM_THREADS": "1",
    }
    line = [sys.executable, str(SCRIPT), str(config), str(step), str(checkpoint), *map(str, resume_from)]
    processes = [subprocess.Popen(line, env=environment | {"RANK": str(rank)}) for rank in range(workers)]
    assert [process.wait(240) for process in processes] == [0] * workers


@pytest.mark.slow
def test_two_workers_then_one_then_two_end_with_the_weights_of_one(tiny_run: Config, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(tiny_run.model_dump_json())
    port = 20_000 + os.getpid() % 20_000
    train(config, 1, 6, tmp_path / "alone", port)
    train(config, 2, 2, tmp_path / "a", port + 1)
    train(config, 1, 4, tmp_path / "b", port + 2, tmp_path / "a")
    train(config, 2, 6, tmp_path / "c", port + 3, tmp_path / "b")
    alone, changed = (load_file(tmp_path / name / "model.safetensors") for name in ("alone", "c"))
    assert alone.keys() == changed.keys()
    assert any(value.dtype == torch.float64 for value in alone.values())
    for name, value in alone.items():
        torch.testing.assert_close(
            changed[name], value, rtol=1e-6, atol=1e-12, msg=lambda text, name=name: f"{name}: {text}"
        )
