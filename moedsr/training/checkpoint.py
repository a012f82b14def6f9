"""Checkpoint directories: readable, atomic, never unpickled.

``config.json``, ``model.safetensors`` (the evaluated weights), ``training.pt`` (what a resumed run needs, loaded with
``weights_only``; not part of a registered model), ``meta.json``.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from moedsr.config import Config
from moedsr.errors import InputError
from moedsr.models.moedsr import MoEDSR

FORMAT_VERSION = 1
CONFIG, WEIGHTS, TRAINING, META = "config.json", "model.safetensors", "training.pt", "meta.json"


@dataclass(frozen=True, kw_only=True)
class Meta:
    """Where a checkpoint comes from."""

    step: int
    metrics: dict[str, float]
    proteins: list[str]  # trained on
    store_fingerprint: str
    git_commit: str | None
    codes: list[str] | None = None  # names of the latent codes in their order; default: one for each protein
    baselines: dict[str, float] | None = None  # what baselines take from the training proteins
    format_version: int = FORMAT_VERSION

    @property
    def code_rows(self) -> dict[str, int]:
        """Row of the latent code table by name."""
        return {name: row for row, name in enumerate(self.proteins if self.codes is None else self.codes)}


def save_checkpoint(
    folder: Path,
    *,
    config: Config,
    weights: Mapping[str, Tensor],
    meta: Meta,
    training: Mapping[str, Any],
    extra: Mapping[str, str] | None = None,
) -> Path:
    """Write a checkpoint under a temporary name, then rename it; an older one at the same place is replaced.

    Args:
        folder: the checkpoint directory.
        config: the run's configuration.
        weights: the evaluated weights.
        meta: provenance.
        training: optimiser and raw weights, tensors and plain values only.
        extra: further text files by name.
    """
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    (temporary / CONFIG).write_text(config.model_dump_json(indent=2) + "\n")
    save_file({name: value.detach().cpu().contiguous() for name, value in weights.items()}, temporary / WEIGHTS)
    torch.save(dict(training), temporary / TRAINING)
    (temporary / META).write_text(json.dumps(asdict(meta), indent=2) + "\n")
    for name, text in (extra or {}).items():
        (temporary / name).write_text(text)
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)
    return folder


def load_config(folder: Path) -> Config:
    """The configuration of a checkpoint.

    Raises:
        InputError: not a checkpoint, or one of another version of this software.
    """
    try:
        return Config.model_validate_json((folder / CONFIG).read_text())
    except OSError as error:
        raise InputError(f"{folder}: not a checkpoint directory: {CONFIG} cannot be read") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{folder / CONFIG}: `{where}`: {first['msg']}; written by another version?") from None


def load_meta(folder: Path) -> Meta:
    """The provenance of a checkpoint.

    Raises:
        InputError: missing, unreadable, or of another format version.
    """
    try:
        values = json.loads((folder / META).read_text())
        meta = Meta(**values)
    except (OSError, TypeError, ValueError) as error:
        raise InputError(f"{folder}: not a checkpoint directory: {META} cannot be read") from error
    if meta.format_version != FORMAT_VERSION:
        raise InputError(f"{folder}: format version {meta.format_version}, but this software reads {FORMAT_VERSION}")
    return meta


def load_model(folder: Path, device: torch.device | str = "cpu") -> tuple[MoEDSR, Meta]:
    """The model with its evaluated weights, in evaluation mode.

    Raises:
        InputError: as above, or weights that do not fit the configuration.
    """
    config, meta = load_config(folder), load_meta(folder)
    model = MoEDSR(config, len(meta.code_rows))
    try:
        model.load_state_dict(load_weights(folder))
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise InputError(f"{folder / WEIGHTS}: does not fit {CONFIG}: {reason}") from error
    return model.to(device).eval(), meta


def load_weights(folder: Path) -> dict[str, Tensor]:
    """The evaluated weights, on the CPU.

    Raises:
        InputError: missing or damaged.
    """
    try:
        return load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{folder / WEIGHTS}: cannot be read: {error}") from error


def load_training(folder: Path, device: torch.device | str) -> dict[str, Any]:
    """What a resumed run needs; tensors and plain values, nothing that could run code."""
    state: dict[str, Any] = torch.load(folder / TRAINING, map_location=device, weights_only=True)
    return state
