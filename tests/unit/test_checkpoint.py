import json
import shutil
from pathlib import Path

import pytest
import torch

from moedsr.config import Config
from moedsr.errors import InputError
from moedsr.models.moedsr import MoEDSR
from moedsr.training.checkpoint import Meta, load_model, save_checkpoint


@pytest.fixture
def saved(small_config: Config, tmp_path: Path) -> tuple[Path, MoEDSR]:
    model = MoEDSR(small_config, 3)
    meta = Meta(step=1, metrics={"val/iou": 0.5}, proteins=["a", "b", "c"], store_fingerprint="f", git_commit=None)
    folder = save_checkpoint(
        tmp_path / "checkpoint",
        config=small_config,
        weights=model.state_dict(),
        meta=meta,
        training={"step": 1},
    )
    return folder, model


def test_round_trip_is_bit_equal(saved: tuple[Path, MoEDSR]) -> None:
    folder, model = saved
    loaded, meta = load_model(folder)
    torch.testing.assert_close(loaded.state_dict(), model.state_dict(), atol=0, rtol=0)
    assert not loaded.training
    assert meta.metrics == {"val/iou": 0.5}


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "meta.json"])
def test_missing_file(saved: tuple[Path, MoEDSR], name: str) -> None:
    (saved[0] / name).unlink()
    with pytest.raises(InputError, match=name):
        load_model(saved[0])


def test_truncated_weights(saved: tuple[Path, MoEDSR]) -> None:
    weights = saved[0] / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(InputError, match="cannot be read"):
        load_model(saved[0])


def test_weights_of_another_shape(saved: tuple[Path, MoEDSR]) -> None:
    config = json.loads((saved[0] / "config.json").read_text())
    config["expert"]["hidden_size"] = 16
    (saved[0] / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"does not fit config.json: size mismatch"):
        load_model(saved[0])


def test_unknown_key(saved: tuple[Path, MoEDSR]) -> None:
    config = json.loads((saved[0] / "config.json").read_text()) | {"colour": "red"}
    (saved[0] / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"`colour`: .*another version"):
        load_model(saved[0])


def test_another_format_version(saved: tuple[Path, MoEDSR]) -> None:
    meta = json.loads((saved[0] / "meta.json").read_text()) | {"format_version": 9}
    (saved[0] / "meta.json").write_text(json.dumps(meta))
    with pytest.raises(InputError, match="format version 9, but this software reads 1"):
        load_model(saved[0])


def test_not_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a checkpoint directory"):
        load_model(tmp_path)


def test_replaces_an_older_one(saved: tuple[Path, MoEDSR], small_config: Config) -> None:
    folder, model = saved
    (folder / "leftover").touch()
    meta = Meta(step=2, metrics={}, proteins=["a", "b", "c"], store_fingerprint="f", git_commit=None)
    save_checkpoint(folder, config=small_config, weights=model.state_dict(), meta=meta, training={})
    assert load_model(folder)[1].step == 2
    assert not (folder / "leftover").exists()
    assert [p.name for p in folder.parent.iterdir()] == [folder.name]


def test_training_state_cannot_carry_code(saved: tuple[Path, MoEDSR], tmp_path: Path) -> None:
    from moedsr.training.checkpoint import load_training

    torch.save({"step": shutil.rmtree}, saved[0] / "training.pt")
    with pytest.raises(Exception, match=r"weights_only|Weights only"):
        load_training(saved[0], "cpu")
